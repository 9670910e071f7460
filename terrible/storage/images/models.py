"""Which Pis can boot from the files of a boot partition, and what they look at first.

After "config.txt" and "Boot flow" of the Raspberry Pi documentation: the firmware takes the kernel by the
processor, and the device tree by the board; a Pi 4 has its first stage in an EEPROM, a Pi 5 also its second.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

FIRST_STAGE = "bootcode.bin"
SET_ASIDE = "bootcode.bin.usb"
"""What `prepare` calls it, so that a card has it for `boot` but the boot ROM does not find it."""

_OLD = ("start.elf", "fixup.dat")
_FOUR = ("start4.elf", "fixup4.dat")
_V6, _V7, _V8 = ("kernel.img",), ("kernel7.img",), ("kernel7.img", "kernel8.img")


@dataclass(frozen=True, slots=True)
class Model:
    """A board: its device trees and kernels, one of each is enough, and its firmware, all of it is needed."""

    name: str
    trees: tuple[str, ...]
    kernels: tuple[str, ...]
    firmware: tuple[str, ...]

    def missing(self, names: Collection[str]) -> list[str]:
        """What a boot partition with these files lacks to boot it; empty if nothing."""
        lacks = [" or ".join(some) for some in (self.trees, self.kernels) if not set(some) & set(names)]
        return lacks + [name for name in self.firmware if name not in names]

    def is_meant(self, names: Collection[str]) -> bool:
        """Whether these files have its device tree, so that it was meant to boot."""
        return bool(set(self.trees) & set(names))


def _trees(*stems: str) -> tuple[str, ...]:
    return tuple(f"{stem}.dtb" for stem in stems)


MODELS = (
    Model(
        "Pi 1",
        _trees("bcm2708-rpi-b-plus", "bcm2708-rpi-b", "bcm2835-rpi-b-plus", "bcm2835-rpi-b"),
        _V6,
        _OLD,
    ),
    Model("Zero", _trees("bcm2708-rpi-zero", "bcm2835-rpi-zero"), _V6, _OLD),
    Model("Zero W", _trees("bcm2708-rpi-zero-w", "bcm2835-rpi-zero-w"), _V6, _OLD),
    Model("Pi 2", _trees("bcm2709-rpi-2-b", "bcm2710-rpi-2-b", "bcm2836-rpi-2-b"), _V7, _OLD),
    Model(
        "Zero 2 W", _trees("bcm2710-rpi-zero-2-w", "bcm2710-rpi-zero-2", "bcm2837-rpi-zero-2-w"), _V8, _OLD
    ),
    Model("Pi 3", _trees("bcm2710-rpi-3-b-plus", "bcm2710-rpi-3-b", "bcm2837-rpi-3-b"), _V8, _OLD),
    Model("CM3", _trees("bcm2710-rpi-cm3", "bcm2837-rpi-cm3-io3"), _V8, _OLD),
    Model("Pi 4", _trees("bcm2711-rpi-4-b"), ("kernel7l.img", "kernel8.img"), _FOUR),
    Model("CM4", _trees("bcm2711-rpi-cm4"), ("kernel7l.img", "kernel8.img"), _FOUR),
    Model("Pi 5", _trees("bcm2712-rpi-5-b"), ("kernel_2712.img", "kernel8.img"), ()),
    Model("CM5", _trees("bcm2712-rpi-cm5-cm5io"), ("kernel_2712.img", "kernel8.img"), ()),
)


def boots(names: Collection[str]) -> list[str]:
    """The boards that these files boot."""
    return [model.name for model in MODELS if not model.missing(names)]


def lacks(names: Collection[str]) -> dict[str, list[str]]:
    """The boards whose device tree is there and something else is not, with what that is."""
    return {
        model.name: missing for model in MODELS if model.is_meant(names) and (missing := model.missing(names))
    }
