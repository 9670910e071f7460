"""What libusb has cached of a device, as the agent's own values; nothing goes over the bus.

Takes usb1's device objects, but needs nothing of usb1 itself: the numbers are those of the USB 2.0
specification (tables 9-13) and of libusb's enumeration of speeds.
"""

from __future__ import annotations

from typing import Any

from terrible.usb.identify import Descriptors, Interface

SPEEDS = {1: 1, 2: 12, 3: 480, 4: 5000, 5: 10000}
"""libusb_speed to Mb/s; low speed's 1.5 is 1, and what it does not know is 0."""
_BULK = 2
_IN = 0x80


def kernel_name(device: Any) -> str:
    """What sysfs calls the device; its ports can be read even after it has left."""
    bus, ports = device.getBusNumber(), device.getPortNumberList()
    return f"{bus}-{'.'.join(map(str, ports))}" if ports else f"usb{bus}"


NOTHING = Descriptors(0, 0, 0, 0, 0, 0, ())
"""What is known of a device that has left."""


def describe(device: Any) -> Descriptors:
    """The descriptors that libusb has cached; nothing goes over the bus."""
    return Descriptors(
        device.getVendorID(),
        device.getProductID(),
        device.getbcdDevice(),
        device.getDeviceClass(),
        device.getSerialNumberDescriptor(),
        SPEEDS.get(device.getDeviceSpeed(), 0),
        tuple(_interface(settings) for settings in _first_settings(device)),
    )


def _first_settings(device: Any) -> list[Any]:
    if len(device) == 0:
        return []
    return [setting for interface in device[0] for setting in list(interface)[:1]]


def _interface(setting: Any) -> Interface:
    bulk = (
        endpoint.getAddress()
        for endpoint in setting
        if endpoint.getAttributes() & 3 == _BULK and not endpoint.getAddress() & _IN
    )
    return Interface(
        setting.getNumber(),
        setting.getClass(),
        setting.getSubClass(),
        setting.getProtocol(),
        next(bulk, None),
    )
