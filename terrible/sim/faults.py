"""What can be wrong with a simulated Pi, as data."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
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


class Error(StrEnum):
    """How a single transfer can fail: what libusb calls TIMEOUT, PIPE, NO_DEVICE, IO and OVERFLOW."""

    TIMEOUT = "timeout"
    STALL = "stall"
    GONE = "gone"
    IO = "io"
    OVERFLOW = "overflow"


@dataclass
class Break:
    """The n-th message (from 0) of every start of the Pi fails so, until it has failed `times` times."""

    message: int
    error: Error
    times: int | None = 1


@dataclass
class Cable:
    """What lies between a port and its Pi: counts the messages since the Pi started, and breaks some."""

    breaks: list[Break] = field(default_factory=list)
    messages: int = 0

    def passes(self) -> Error | None:
        """How the message that is due now fails; None where it gets through."""
        number, self.messages = self.messages, self.messages + 1
        for broken in self.breaks:
            if broken.message == number and broken.times != 0:
                broken.times = None if broken.times is None else broken.times - 1
                return broken.error
        return None


HEAL_EVERY = 10.0
"""Seconds between two looks at sysfs (`usb.bus`); what is missed twice in a row is fetched."""
MOMENT = 0.2
"""Seconds by which events were seen to be late."""


@dataclass
class Hearing:
    """How well the bus hears: of each event, whether it comes late, or is lost until a look heals it."""

    dice: random.Random = field(default_factory=random.Random)
    late: float = 0.0
    lost: float = 0.0

    def arrival(self) -> float:
        """Seconds until an arrival is heard of; a lost one is found at the second look."""
        return self._delay(HEAL_EVERY, 2 * HEAL_EVERY)

    def leaving(self) -> float:
        """Seconds until somebody hears that a device left."""
        return self._delay(0.0, HEAL_EVERY)

    def _delay(self, least: float, most: float) -> float:
        chance = self.dice.random()
        if chance < self.lost:
            return self.dice.uniform(least, most)
        return self.dice.uniform(0.0, MOMENT) if chance < self.lost + self.late else 0.0
