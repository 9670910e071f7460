"""What the agent says, as far as a soak listens: shapes over the payloads of the MQTT contract.

They name only the fields that are used, so that an agent of another version is understood as well
(within `"v": 1` fields are only added). What does not fit is no message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem, or an error: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """`node/<name>/state`. `since` is the head's Unix time; `attempt` counts since the agent's start."""

    phase: str
    wish: str
    since: float
    session: str
    attempt: int
    power: bool | None = None
    problem: Trouble | None = None


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of an attempt, in seconds."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class File:
    """A file that was asked for; `sha256` is None where there is none."""

    name: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Boot:
    """`node/<name>/boot`: an attempt that has ended. `started` is the head's Unix time."""

    attempt: int
    started: float
    outcome: str
    diagnosis: str = ""
    stages: tuple[StageTime, ...] = ()
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """`response/power`."""

    id: str | None
    ok: bool
    status: str
    error: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A slot in `info`."""

    name: str


@dataclass(frozen=True, slots=True)
class Introduction:
    """`info`: the agent and its slots, and how each is switched."""

    version: str
    host: str
    session: str
    slots: tuple[Named, ...]
    power: dict[str, str] = field(default_factory=dict)
    power_why: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The slots' names, in the agent's order."""
        return [slot.name for slot in self.slots]


_SHAPES: dict[type[Any], TypeAdapter[Any]] = {
    shape: TypeAdapter(shape) for shape in (Standing, Boot, Response, Introduction)
}


def read(shape: type[T], payload: bytes) -> T | None:
    """A payload as this shape; None where it is something else, or empty: the topic was cleared."""
    try:
        heard: T = _SHAPES[shape].validate_json(payload)
    except ValidationError:
        return None
    return heard
