"""A virtual machine with a real kernel USB stack; its Pis are tasks of the test (see hub, machine, image)."""
