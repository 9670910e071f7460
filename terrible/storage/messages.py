"""What is said on the socket of `terrible-disk`: a line of JSON each way, with `open` a descriptor too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from terrible.errors import DiskError
from terrible.peers import Refused

OPERATIONS = ("open", "look")


@dataclass(frozen=True, slots=True)
class DiskRequest:
    """`open` a slot's card, or only `look` whether it could be opened."""

    op: str
    slot: str

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read one request; Refused for anything that is not exactly one."""
        try:
            match json.loads(line.decode()):
                case {"v": 1, "op": str(op), "slot": str(slot), **rest} if not rest and op in OPERATIONS:
                    return cls(op, slot)
        except (ValueError, RecursionError) as error:
            raise Refused(f"bad request: {error}") from error
        raise Refused('a request is {"v": 1, "op": "open", "slot": "node2"}, or "look"')

    def line(self) -> bytes:
        """As it is sent."""
        return json.dumps({"v": 1, **asdict(self)}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """The card at a slot: `disk` is its name at this moment, `size` and `sector` are bytes."""

    slot: str
    location: str
    disk: str
    size: int
    sector: int
    vendor: str
    model: str

    @classmethod
    def answered(cls, line: bytes) -> Self:
        """Read an answer; DiskError in the helper's words where it refused, or for what is no answer."""
        if not line:
            raise DiskError("terrible-disk ended without an answer; the disk may not answer any more either")
        try:
            match json.loads(line):
                case {"ok": True, "value": dict(value)}:
                    return cls(**_checked(value))
                case {"ok": False, "error": str(error)}:
                    raise DiskError(error)
        except (ValueError, TypeError, KeyError):
            pass
        raise DiskError(f"terrible-disk answered {line[:80]!r}")


def _checked(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a card, of the right types; later versions may send more."""
    wanted = {field.name: value[field.name] for field in fields(Seen)}
    numbers = [wanted.pop("size"), wanted.pop("sector")]
    if not all(type(one) is int and one > 0 for one in numbers):
        raise TypeError
    if not all(isinstance(one, str) for one in wanted.values()):
        raise TypeError
    return {**wanted, "size": numbers[0], "sector": numbers[1]}
