"""What can go wrong on the bus, below the agent's own words. None of these leaves `usb`."""

from __future__ import annotations


class UsbError(Exception):
    """A call or a transfer failed. Adapters translate it; it never leaves them."""


class UsbGone(UsbError):
    """The device is no longer there."""


class UsbTimeout(UsbError):
    """The transfer was not completed within its limit."""


class UsbStall(UsbError):
    """The device refused the transfer."""


class UsbNoMemory(UsbError):
    """The kernel's memory for all USB transfers together (usbfs_memory_mb) is spent."""


class UsbAccess(UsbError):
    """No permission to open the device."""


class UsbBusy(UsbError):
    """Another program, or a kernel driver, holds the interface."""
