"""How people write several slots: `node[1-3]`, `node1,node4`, `all`.

Slurm users know it as a host list. What is not written like this is refused, and so is what would
make far more names than any hub has ports: patterns come from strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

ALL = "all"
_LONGEST = 1024
_MOST = 1024
_ITEM = re.compile(r"(?P<head>[a-z0-9-]*)(?:\[(?P<ranges>[0-9,-]+)\](?P<tail>[a-z0-9-]*))?")
_RANGE = re.compile(r"(?P<first>[0-9]{1,4})(?:-(?P<last>[0-9]{1,4}))?")


class UnknownSlot(LookupError):
    """A name that no slot has."""


def check(pattern: str) -> None:
    """Raise ValueError, with a sentence for people, unless `pattern` is written right."""
    list(_written(pattern))


def expand(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that `pattern` stands for, each once; UnknownSlot for one that is not in `names`."""
    chosen = dict.fromkeys(
        name for written in _written(pattern) for name in (names if written == ALL else (written,))
    )
    for name in chosen:
        if name not in names:
            raise UnknownSlot(f"there is no slot {name}")
    return list(chosen)


def _written(pattern: str) -> Iterator[str]:
    if len(pattern) > _LONGEST:
        raise ValueError(f"slots are written in at most {_LONGEST} characters")
    count = 0
    for item in re.split(r",(?![^\[]*\])", pattern):
        for name in _names(item):
            count += 1
            if count > _MOST:
                raise ValueError(f"{pattern!r} stands for more than {_MOST} slots")
            yield name


def _names(item: str) -> Iterator[str]:
    written = _ITEM.fullmatch(item)
    if not item or not written:
        raise ValueError(f"{item!r} names no slots; write node1, node1,node4, node[1-3] or {ALL}")
    if written["ranges"] is None:
        yield item
        return
    for part in written["ranges"].split(","):
        for number in _numbers(part):
            yield f"{written['head']}{number}{written['tail']}"


def _numbers(part: str) -> Iterator[str]:
    """As written: `08-10` keeps the width of its first number."""
    written = _RANGE.fullmatch(part)
    if not written:
        raise ValueError(f"{part!r} is no range of numbers; write node[1-3] or node[1,3]")
    first, last = written["first"], written["last"] or written["first"]
    if int(last) < int(first):
        raise ValueError(f"{part!r} runs backwards")
    return (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
