"""The head-node agent of a cluster of Raspberry Pis that boot over USB."""

__version__ = "0.1.0"
