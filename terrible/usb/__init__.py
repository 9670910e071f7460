"""USB: the rpiboot protocol, the boot files, and libusb on the loop."""
