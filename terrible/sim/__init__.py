"""A simulated hub of Raspberry Pis that speaks the real wire format."""
