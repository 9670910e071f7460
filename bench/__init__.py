"""Every figure that is quoted anywhere, as a command: `python -m bench.NAME` prints a small table."""
