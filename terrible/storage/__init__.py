"""Cards: images and what is in them, what writes them, and the privileged helper that opens the right one."""
