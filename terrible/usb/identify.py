"""What a USB device on a port is, told from its descriptors alone.

The stage of a Broadcom device is told by the *index* of its serial-number string, not by its product
id, which changes between the stages of one boot (usbboot main.c:1106-1121: 0 and 3 want bootcode,
anything else is the file server). Gadgets and disks are known by the ids that Pis are seen with.
"""

from __future__ import annotations

from dataclasses import dataclass

from terrible.model import Stage

BROADCOM = 0x0A5C
CHIPS = {0x2763: "2710", 0x2764: "2710", 0x2711: "2711", 0x2712: "2712"}
"""Product id to rpiboot's chip directory (main.c:290-297); a BCM2835 reads the 2710 tree too."""
BOOTCODE = {"2710": "bootcode.bin", "2711": "bootcode4.bin", "2712": "bootcode5.bin"}
"""Chip to the name of its first-stage file (main.c:714-717)."""

_ROM_SERIAL_INDEXES = (0, 3)
_GADGETS = {(0x0525, 0xA4A1), (0x0525, 0xA4A2), (0x0525, 0xA4AA), (0x2E8A, 0x0013)}
_GADGET_VENDORS = {0x1D6B: range(0x0100, 0x0200), 0x3171: range(0x0014, 0x0026)}
"""Linux Foundation composite gadgets (g_multi, configfs) and Cluster CTRL's own ids."""
DISKS = {(0x0A5C, 0x0001), (0x0525, 0xA4A5)}
"""Broadcom's mass-storage firmware, and Linux' own gadget: what a Pi shows its card as."""
_NETWORK_CLASSES = {(0xE0, 0x01), (0x02, 0x02), (0x02, 0x06), (0x02, 0x0D), (0xEF, 0x04)}
"""RNDIS (two spellings and the Microsoft one), ECM and NCM control interfaces."""
MASS_STORAGE = 0x08


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of the first configuration, its default setting."""

    number: int
    cls: int
    subclass: int
    protocol: int
    bulk_out: int | None = None


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What a device says of itself. `serial_index` is 0 where it has no serial string; speed in Mb/s."""

    vendor: int
    product: int
    release: int
    device_class: int
    serial_index: int
    speed: int
    interfaces: tuple[Interface, ...]

    def __str__(self) -> str:
        return f"{self.vendor:04x}:{self.product:04x}"


def stage(device: Descriptors) -> Stage:
    """Which stage of a boot this device is; OTHER for everything that is not known to be a Pi's."""
    ids = (device.vendor, device.product)
    if device.vendor == BROADCOM and device.product in CHIPS:
        return Stage.ROM if device.serial_index in _ROM_SERIAL_INDEXES else Stage.LOADER
    if ids in DISKS and _has_class(device, MASS_STORAGE):
        return Stage.DISK
    if is_gadget(*ids) and _is_network(device):
        return Stage.GADGET
    return Stage.OTHER


def is_gadget(vendor: int, product: int) -> bool:
    """Whether a Pi that runs Linux shows itself with these ids; a phone or an Ethernet adapter does not."""
    return (vendor, product) in _GADGETS or product in _GADGET_VENDORS.get(vendor, ())


def chip(device: Descriptors) -> str:
    """The chip directory of a Broadcom boot device: `2710`, `2711` or `2712`."""
    return CHIPS[device.product]


def boot_interface(device: Descriptors) -> tuple[int, int]:
    """The interface to claim and its bulk OUT endpoint: the last of one or two (main.c:408-421).

    A BCM2837 shows its mass-storage interface first and boots on the second.
    """
    for interface in reversed(device.interfaces[:2]):
        if interface.bulk_out is not None:
            return interface.number, interface.bulk_out
    return (1, 0x03) if len(device.interfaces) == 2 else (0, 0x01)


def _has_class(device: Descriptors, cls: int) -> bool:
    return any(interface.cls == cls for interface in device.interfaces)


def _is_network(device: Descriptors) -> bool:
    return any((i.cls, i.subclass) in _NETWORK_CLASSES for i in device.interfaces)
