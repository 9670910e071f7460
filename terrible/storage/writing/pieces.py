"""An image as a row of pieces, from its first byte to its last, without gaps.

A piece is data, zeros, or what the bmap says means nothing. It lies within one chunk of the grid and
within one range of the bmap, so that cards are written in large aligned steps and ranges can be checked.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from terrible.storage.writing.bmap import Bmap
from terrible.storage.writing.pool import Buffer, is_zero


class Kind(Enum):
    """What a piece means to a card."""

    DATA = "written on every card"
    ZERO = "written where a card does not read zeros already"
    UNMAPPED = "left alone"


@dataclass(frozen=True, slots=True)
class Piece:
    """`length` bytes at `offset` of the image; in `buffer` from `start` on, all zeros without one."""

    offset: int
    length: int
    kind: Kind
    buffer: Buffer | None = None
    start: int = 0

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.length

    @property
    def view(self) -> memoryview:
        """Its bytes, where it has a buffer."""
        assert self.buffer is not None
        return self.buffer.view[self.start : self.start + self.length]

    def hold(self) -> None:
        """Keep its bytes."""
        if self.buffer:
            self.buffer.hold()

    def release(self) -> None:
        """Let go of its bytes."""
        if self.buffer:
            self.buffer.release()


def split(start: int, end: int, bmap: Bmap | None) -> Iterator[tuple[int, int, bool]]:
    """The bytes from `start` to `end`, cut where mapped and unmapped change: start, end, whether mapped."""
    if bmap is None:
        yield start, end, True
        return
    first = bisect_right(bmap.ranges, start, key=lambda one: one.end)
    behind = bisect_left(bmap.ranges, end, key=lambda one: one.start)
    for one in bmap.ranges[first:behind]:
        if start < one.start:
            yield start, one.start, False
            start = one.start
        yield start, min(one.end, end), True
        start = min(one.end, end)
    if start < end:
        yield start, end, False


def carve(buffer: Buffer, offset: int, length: int, bmap: Bmap | None) -> Iterator[Piece]:
    """The pieces of a full buffer that came from `offset`. Without a bmap a chunk of zeros is zeros.

    The chunk with sector 0 is data in any case: the sector is written last, from what is in it.
    """
    if bmap is None and offset and is_zero(buffer.view[:length]):
        yield Piece(offset, length, Kind.ZERO)
        return
    for start, end, mapped in split(offset, offset + length, bmap):
        yield Piece(start, end - start, Kind.DATA if mapped else Kind.UNMAPPED, buffer, start - offset)
