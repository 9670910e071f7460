"""Boot files of a given weight, named and shaped like those of a Raspberry Pi OS, and the hashes of all."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping

from terrible.sim.pi import ORDER

BASE = {
    "bootcode.bin": 52_624,
    "config.txt": 160,
    "cmdline.txt": 180,
    "start.elf": 2_980_000,
    "fixup.dat": 7_300,
    "kernel.img": 6_900_000,
    "bcm2708-rpi-zero.dtb": 29_000,
    "overlays/dwc2.dtbo": 800,
}
"""As in a Raspberry Pi OS of 2025; the rest of the weight is the initial RAM disk."""
INITRAMFS = "initramfs"
FIRMWARE = (*ORDER[:11], INITRAMFS, *ORDER[11:])
"""What a Zero asks for, with an initial RAM disk after the kernel."""


def sized(total: int) -> dict[str, bytes]:
    """Files of `total` bytes in all; the content is noise."""
    noise = random.Random(2763)
    sizes = BASE | {INITRAMFS: total - sum(BASE.values())}
    return {name: noise.randbytes(size) for name, size in sizes.items()}


def tiny() -> dict[str, bytes]:
    """The same files with one byte each: what a boot takes apart from its bytes."""
    return dict.fromkeys([*BASE, INITRAMFS], b"\n")


def weight(files: Mapping[str, bytes], asked: Mapping[str, int]) -> int:
    """Bytes over the bus for one boot in which each name is asked for so many times."""
    return sum(len(files[name]) * times for name, times in asked.items() if name in files)


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
