"""What each family of Pis looks like on the bus, stage by stage.

Ids and serial indexes as seen with real boards (usbboot main.c:132-136, issues 9 and 63; cmprovision
issue 20): a product id does not survive a boot, and a Pi 4 ends up calling itself 2764 too.
"""

from __future__ import annotations

from dataclasses import dataclass

from terrible.usb.identify import BROADCOM, Descriptors, Interface

_BOOT = Interface(0, 0xFF, 0, 0, 0x01)
_BOOT_SECOND = (Interface(0, 0x08, 0x06, 0x50, 0x01), Interface(1, 0xFF, 0, 0, 0x03))
"""A BCM2837 offers mass storage first and boots on its second interface (main.c:408-421)."""

GADGET = Descriptors(
    0x0525, 0xA4A2, 0x0601, 0x02, 0, 480, (Interface(0, 0xE0, 1, 3), Interface(1, 0x0A, 0, 0, 0x01))
)
"""Linux's g_ether in its RNDIS configuration."""
DISK = Descriptors(BROADCOM, 0x0001, 0x0001, 0, 3, 480, (Interface(0, 0x08, 0x06, 0x50, 0x01),))
"""The mass-storage firmware of a Pi Zero."""


@dataclass(frozen=True, slots=True)
class Family:
    """One chip: its two boot stages, its first-stage file, and whether its ROM reports a result."""

    name: str
    bootcode: str
    rom: Descriptors
    loader: Descriptors
    reports: bool = True


def _boot(product: int, serial_index: int, speed: int, *interfaces: Interface) -> Descriptors:
    return Descriptors(BROADCOM, product, 0, 0, serial_index, speed, interfaces or (_BOOT,))


FAMILIES = {
    "2763": Family("2763", "bootcode.bin", _boot(0x2763, 0, 12), _boot(0x2764, 1, 480)),
    "2764": Family(
        "2764", "bootcode.bin", _boot(0x2764, 0, 480, *_BOOT_SECOND), _boot(0x2764, 1, 480, *_BOOT_SECOND)
    ),
    "2711": Family("2711", "bootcode4.bin", _boot(0x2711, 3, 480), _boot(0x2711, 1, 480), reports=False),
    "2712": Family("2712", "bootcode5.bin", _boot(0x2712, 3, 480), _boot(0x2712, 1, 480), reports=False),
}
ZERO = FAMILIES["2763"]
