"""The shapes of what is published, field by field: the contract. [pure]

They are dataclasses, which cost a small head far less memory than pydantic's models (facts/arm.md). Pydantic
makes JSON Schema of them (mqtt.schema) and reads them all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from terrible.errors import Problem
from terrible.model import Phase

VERSION: Literal[1] = 1
"""Within a version fields are only added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A slot in `info`: `mac` is the gadget's own address, `host_mac` that of the head's end of its link."""

    name: str
    number: int
    location: str
    mac: str
    host_mac: str
    address: str
    profile: str
    watchdog: bool
    gadget: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """`info`: who the agent is. `session` is new at every start; `started` is Unix time.

    `power` is how each slot is switched, `power_why` the reason for that choice; `problem` is the head's own.
    `subnet`, `bridge` and `uplink` are those of the node network, empty without one.
    """

    v: Literal[1] = VERSION
    version: str
    cluster: str
    host: str
    session: str
    started: float
    slots: tuple[Seat, ...]
    power: dict[str, str]
    power_why: dict[str, str]
    problem: Problem | None
    subnet: str
    bridge: str
    uplink: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`node/<name>/state`. `since` is Unix time; `session` is new at every start of the agent."""

    v: Literal[1] = VERSION
    phase: Phase
    problem: Problem | None
    wish: Literal["on", "off"]
    since: float
    location: str
    power: bool | None
    addresses: tuple[str, ...]
    attempt: int
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortState:
    """`hub/<location>/port/<n>`: who sits at a port of a hub, and whether it has power; null: unknown."""

    v: Literal[1] = VERSION
    location: str
    slot: str
    power: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`summary`. `updated` is when a slot last changed its phase, in Unix time; 0 if none has.

    `undervoltage` is whether a slot waits for its power because the head's own supply is too weak.
    """

    v: Literal[1] = VERSION
    total: int
    up: int
    booting: int
    failed: int
    updated: float
    undervoltage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """`node/<name>/event`. Home Assistant asks for the name `event_type`; `ts` is Unix time."""

    v: Literal[1] = VERSION
    event_type: str
    ts: float
    message: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """`node/<name>/progress`: bytes sent in this attempt and the file being sent.

    In the phase flashing: bytes done of `total`, as `file` what is done with them, and bytes a second and
    seconds left. Null where it is not known, or not about a card.
    """

    v: Literal[1] = VERSION
    phase: Phase
    sent: int
    file: str
    total: int | None = None
    rate: float | None = None
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Error:
    """Why a request was refused or failed: a stable code and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`response/<verb>`: one of the answers to a request. `id` is null where none could be read."""

    v: Literal[1] = VERSION
    id: str | None
    ok: bool
    status: str
    data: dict[str, Any] = field(default_factory=dict)
    error: Error | None = None
