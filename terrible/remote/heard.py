"""What the agent says, as far as its clients listen: shapes over the payloads of the MQTT contract.

They name only the fields that are used, so that an agent of another version is understood as well
(within `"v": 1` fields are only added). What does not fit is no message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from terrible.remote.fields import Bytes, Moment, Rate, Said, Seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem, or an error: a stable code and a sentence."""

    code: Said
    message: Said


@dataclass(frozen=True, slots=True)
class Standing:
    """`node/<name>/state`. `since` is the head's Unix time; `attempt` counts since the agent's start."""

    phase: Said
    wish: Said
    since: Moment
    session: Said
    attempt: int
    power: bool | None = None
    problem: Trouble | None = None
    location: Said = ""
    addresses: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of an attempt, in seconds."""

    stage: Said
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class File:
    """A file that was asked for; `layer` is None where none of `looked_in` has it.

    `size` is in bytes; `seconds` are those since the file before it, or since its stage began.
    """

    name: Said
    sha256: str | None = None
    size: Bytes = 0
    layer: str | None = None
    seconds: Seconds = 0.0
    looked_in: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Boot:
    """`node/<name>/boot`: an attempt that has ended. `started` is the head's Unix time.

    `network` are the steps within the stage `gadget`.
    """

    attempt: int
    started: Moment
    outcome: Said
    diagnosis: Said = ""
    stages: tuple[StageTime, ...] = ()
    files: tuple[File, ...] = ()
    network: tuple[StageTime, ...] = ()
    restarts: int = 0
    bad_requests: int = 0
    seconds: Seconds = 0.0

    @property
    def size(self) -> int:
        """Bytes sent in it."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Advance:
    """`node/<name>/progress`: bytes sent in this attempt, and the file being sent.

    Of a card: bytes done of `total`, as `file` what is done with it, bytes a second, and seconds left.
    """

    sent: Bytes
    file: Said = ""
    total: Bytes | None = None
    rate: Rate | None = None
    left: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """`node/<name>/event`; `ts` is the head's Unix time."""

    event_type: Said
    ts: Moment
    message: Said = ""


@dataclass(frozen=True, slots=True)
class Response:
    """`response/<verb>`: one of the answers to the request of this id."""

    id: str | None
    ok: bool
    status: Said
    data: dict[str, Any] = field(default_factory=dict)
    error: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A slot in `info`."""

    name: Said
    location: Said = ""


@dataclass(frozen=True, slots=True)
class Introduction:
    """`info`: the agent and its slots, and how each is switched. `started` is the head's Unix time."""

    version: Said
    host: Said
    session: Said
    slots: tuple[Named, ...]
    power: dict[str, str] = field(default_factory=dict)
    power_why: dict[str, Said] = field(default_factory=dict)
    started: Moment = 0.0
    problem: Trouble | None = None

    @property
    def names(self) -> list[str]:
        """The slots' names, in the agent's order."""
        return [slot.name for slot in self.slots]


_SHAPES: dict[type[Any], TypeAdapter[Any]] = {
    shape: TypeAdapter(shape) for shape in (Standing, Boot, Advance, Happening, Response, Introduction)
}


def read(shape: type[T], payload: bytes) -> T | None:
    """A payload as this shape; None where it is something else, or empty: the topic was cleared."""
    try:
        heard: T = _SHAPES[shape].validate_json(payload)
    except ValidationError:
        return None
    return heard
