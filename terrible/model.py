"""The words of the project as values: where a node sits, what it shows, what is said of it.

Everything here is plain data without I/O, so that any room may use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from terrible.errors import Problem

Verdict = Mapping[str, Any]
"""What a probe of a port found out, plain JSON values; `power.verdict` says which."""

_LOCATION = re.compile(r"[1-9][0-9]{0,2}-[1-9][0-9]{0,2}(\.[1-9][0-9]{0,2})*")


class Location(str):
    """A USB port path as the kernel prints it: `1-1.2` is port 2 of the hub at `1-1`."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _LOCATION.fullmatch(text):
            raise ValueError(f"{text!r} is no USB location; one looks like 1-1.2 (bus, dash, ports)")
        return super().__new__(cls, text)

    @classmethod
    def at(cls, hub: str, port: int) -> Self:
        """A port of a hub that is named as by the kernel, `1-1` or `usb1`."""
        return cls(f"{hub.removeprefix('usb')}-{port}" if hub.startswith("usb") else f"{hub}.{port}")

    @property
    def hub(self) -> str:
        """The kernel's name of the hub this port is on: `1-1`, or `usb1` for a root hub."""
        above, dot, _ = self.rpartition(".")
        return above if dot else f"usb{self.partition('-')[0]}"

    @property
    def port(self) -> int:
        """The port's number on its hub, from 1."""
        return int(re.split(r"[-.]", self)[-1])

    def holds(self, other: str) -> bool:
        """Whether `other` is this port or sits behind a hub on it."""
        return other == self or other.startswith(f"{self}.")


class Stage(StrEnum):
    """What a port shows right now."""

    ROM = "rom"
    LOADER = "loader"
    GADGET = "gadget"
    DISK = "disk"
    OTHER = "other"


class Phase(StrEnum):
    """Where a slot is, as published."""

    OFF = "off"
    WAITING = "waiting"
    ROM = "rom"
    LOADING = "loading"
    STARTING = "starting"
    UP = "up"
    LOST = "lost"
    HALTED = "halted"
    DISK = "disk"
    FLASHING = "flashing"
    FAILED = "failed"
    QUARANTINED = "quarantined"


RUNNING = frozenset({Phase.STARTING, Phase.UP, Phase.LOST, Phase.DISK, Phase.FLASHING})
"""Phases in which the node runs software of its own that a power cut would hurt."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A configured location and what belongs to it for ever, whichever Pi sits there.

    `mac` is the gadget's own address, `host_mac` that of the head's end of the same link. With `watchdog`
    a node that does not answer is power-cycled. `gadget` is the kernel module that makes its network.
    `first_boot` are the words that its command line gets for the first boot of a card just written, `tree`
    is the directory with the boot files of the image on it, where there is one.
    """

    name: str
    number: int
    location: Location
    mac: str
    host_mac: str
    address: str = ""
    profile: str = ""
    watchdog: bool = False
    gadget: str = "g_ether"
    first_boot: str = ""
    tree: str = ""


@dataclass(slots=True)
class FileRecord:
    """One file a node asked for: `layer` is where it was found, None where none of `looked_in` has it.

    `sha256` is None for a missing file, and where the attempt ended before it was worked out.
    """

    name: str
    size: int
    sha256: str | None
    layer: str | None
    seconds: float
    looked_in: tuple[str, ...] = ()


@dataclass(slots=True)
class StageRecord:
    """One stage of an attempt and how long the port showed it, or waited for the next."""

    stage: str
    seconds: float


@dataclass(slots=True)
class Transcript:
    """The record of one attempt: what was asked, served and missed, and how it ended.

    `started` is Unix time in seconds; `outcome` is up, disk, failed, left or stopped. `network` are the steps
    within the stage `gadget`, from the gadget's arrival to `up`: carrier, address, ping, service.
    """

    slot: str
    attempt: int
    started: float
    stages: list[StageRecord] = field(default_factory=list)
    files: list[FileRecord] = field(default_factory=list)
    network: list[StageRecord] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    bad_requests: int = 0
    restarts: int = 0
    speed: int | None = None
    seconds: float = 0.0
    outcome: str = ""
    diagnosis: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a slot says of itself at one moment. `since` is Unix time; `power` None where unknown."""

    slot: Slot
    phase: Phase
    problem: Problem | None
    wish: bool
    since: float
    power: bool | None
    addresses: tuple[str, ...]
    attempt: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a boot is: bytes sent in this attempt and the file being sent.

    Of a card: bytes done of `total`, as `file` what is done with them, bytes a second, and the seconds left.
    """

    slot: Slot
    phase: Phase
    sent: int
    file: str
    total: int | None = None
    rate: float | None = None
    left: float | None = None


@dataclass(frozen=True, slots=True)
class CardNews:
    """How far a slot's card is, in bytes and seconds; at its end `outcome` is whole, or failed and why.

    `touched` is whether anything of it may have been written by then, `sha256` is of the image that is on it,
    `first_boot` are the words that the command line needs for its first boot; with `card_first` a Pi Zero
    would start from it without asking for anything over USB.
    """

    slot: str
    stage: str = ""
    done: int = 0
    total: int | None = None
    rate: float | None = None
    left: float | None = None
    outcome: str = ""
    error: str = ""
    touched: bool = True
    sha256: str = ""
    first_boot: str = ""
    card_first: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a slot, told once. `data` holds plain JSON values."""

    slot: Slot
    kind: str
    message: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Info:
    """What the agent says of itself once. `session` is new at every start; `started` is Unix time.

    `power` is how each slot is switched, `power_why` the reason for that choice; `problem` is the head's own.
    `subnet`, `bridge` and `uplink` are those of the node network, empty without one.
    """

    version: str
    cluster: str
    host: str
    session: str
    started: float
    slots: tuple[Slot, ...]
    power: dict[str, str] = field(default_factory=dict)
    power_why: dict[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    subnet: str = ""
    bridge: str = ""
    uplink: str = ""


@dataclass(frozen=True, slots=True)
class NetworkNews:
    """How the node network stands: where it is, what is wrong with it, and which slots are in conflict."""

    subnet: str = ""
    bridge: str = ""
    uplink: str = ""
    problem: Problem | None = None
    conflicts: dict[str, Problem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for. `slots` as written (`node[1-3]`, `all`); a plain word has no `id`.

    `reply_to` and `correlation` are where and how the one who asked wants the answers, if not as usual.
    """

    verb: str
    slots: str
    action: str = ""
    force: bool = False
    id: str | None = None
    image: str = ""
    reply_to: str = ""
    correlation: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a request: `accepted`, `progress`, `done`, or `error` with a stable code."""

    status: str
    data: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    message: str = ""
