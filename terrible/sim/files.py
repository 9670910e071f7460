"""Boot files for simulated Pis: the right names and likely sizes, the content is noise."""

from __future__ import annotations

import random
from pathlib import Path

from terrible.sim.pi import MASS_STORAGE

SIZES = {
    "bootcode.bin": 52_624,
    "bootcode4.bin": 73_120,
    "bootcode5.bin": 78_332,
    "config.txt": 160,
    "start.elf": 2_980_000,
    "fixup.dat": 7_300,
    "kernel.img": 6_900_000,
    "bcm2708-rpi-zero.dtb": 29_000,
    "overlays/dwc2.dtbo": 800,
}
"""Bytes, as in a Raspberry Pi OS of 2025."""
CMDLINE = "console=serial0 root=/dev/mmcblk0p2 rootwait modules-load=dwc2,${gadget} "
GADGET = "${gadget}.dev_addr=${mac} ${gadget}.host_addr=${host_mac} systemd.hostname=${name}\n"


def write_mass_storage(directory: Path) -> None:
    """Fill an empty directory with the firmware by which a simulated Pi shows its card."""
    directory.mkdir(exist_ok=True)
    noise = random.Random(1)
    for name in ("bootcode.bin", "bootcode4.bin", "bootcode5.bin"):
        (directory / name).write_bytes(noise.randbytes(SIZES[name]))
    (directory / "start.elf").write_bytes(MASS_STORAGE + noise.randbytes(700_000))


def write_boot_files(directory: Path) -> int:
    """Fill an empty directory; returns about how many bytes one Pi reads from it."""
    noise = random.Random(2763)
    for name, size in SIZES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(size))
    (directory / "cmdline.txt.template").write_text(CMDLINE + GADGET)
    return sum(SIZES.values()) - SIZES["bootcode4.bin"] - SIZES["bootcode5.bin"]
