"""What an exporter hears: shapes over the payloads of the MQTT contract.

They name only the fields that are used, so that an agent of another version is understood as well
(within `"v": 1` fields are only added). What does not fit is no message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

T = TypeVar("T")

Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
"""Also since 1970. What is added up must be a number, and stay one, or the sum is none for ever."""
Size = Annotated[int, Field(ge=0, lt=2**40)]
"""Bytes; a counter never falls."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`node/<name>/state`. `power` is null where nobody knows."""

    phase: str
    wish: str
    session: str
    power: bool | None = None


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of an attempt, in seconds."""

    stage: str
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class File:
    """A file that was asked for, in bytes; 0 where there is none."""

    size: Size


@dataclass(frozen=True, slots=True)
class Boot:
    """`node/<name>/boot`: an attempt that has ended. `started` is the head's Unix time."""

    attempt: int
    started: Seconds
    seconds: Seconds
    outcome: str
    diagnosis: str = ""
    stages: tuple[StageTime, ...] = ()
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Length:
    """What the event of an attempt's end says beside its outcome."""

    seconds: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """`node/<name>/event`. That an attempt ended is an event named as its outcome."""

    event_type: str
    data: Length


@dataclass(frozen=True, slots=True)
class Named:
    """A slot in `info`."""

    name: str


@dataclass(frozen=True, slots=True)
class Introduction:
    """`info`: the agent and its slots. `started` is the head's Unix time."""

    version: str
    host: str
    session: str
    started: Seconds
    slots: tuple[Named, ...]


_SHAPES: dict[type[Any], TypeAdapter[Any]] = {
    shape: TypeAdapter(shape) for shape in (Standing, Boot, Happening, Introduction)
}


def read(shape: type[T], payload: bytes) -> T | None:
    """A payload as this shape; None where it is something else."""
    try:
        heard: T = _SHAPES[shape].validate_json(payload)
    except ValidationError:
        return None
    return heard
