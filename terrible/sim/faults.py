"""What can be wrong with a simulated Pi, as data."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The ways a boot is known to go wrong."""

    BOOTCODE_STALLS = "bootcode-stalls"
    ROM_HANGS = "rom-hangs"
    ROM_REJECTS = "rom-rejects"
    ROM_VANISHES = "rom-vanishes"
    ROM_AGAIN = "rom-again"
    LOADER_SILENT = "loader-silent"
    STALLS_AFTER_START = "stalls-after-start"
    MALFORMED = "malformed-requests"
    HOSTILE_NAMES = "hostile-names"
    KERNEL_PANICS = "kernel-panics"


@dataclass
class Fault:
    """One fault: it strikes with `chance` until it has struck `times` times (None: for ever)."""

    kind: Kind
    times: int | None = 1
    chance: float = 1.0

    def strikes(self, dice: random.Random) -> bool:
        """Whether it strikes now; a strike is used up."""
        if self.times == 0 or dice.random() >= self.chance:
            return False
        if self.times is not None:
            self.times -= 1
        return True


MALFORMED = (
    struct.pack("<i256s", 77, b"config.txt"),
    b"\x00\x00",
    struct.pack("<i256s", 0, b"\xff\x1b[2Jconfig"),
    struct.pack("<i", 0) + b"A" * 256,
)
"""An unknown command, a short read, a name that is not text, a name without its end."""

HOSTILE_NAMES = (
    "../../etc/shadow",
    "/etc/shadow",
    "overlays/../../../../etc/passwd",
    "escape/passwd",
    "fifo",
    "overlays",
    "//etc/passwd",
    "./../etc/hostname",
)
"""Names that lead out of every layer, to a FIFO, or to a directory."""
