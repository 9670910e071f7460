"""An image, wherever it comes from, in pieces, as often as it can be read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from terrible.storage.faults import ImageError
from terrible.storage.writing import pieces, unpack
from terrible.storage.writing.bmap import Bmap
from terrible.storage.writing.pieces import Kind, Piece
from terrible.storage.writing.pool import CHUNK, Buffer

SECTOR = 512
Mark = tuple[int, ...]


def mark(status: os.stat_result) -> Mark:
    """What a file is not without while somebody writes to it, or after another has taken its name."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Lender(Protocol):
    """Whoever has a free buffer, now or later."""

    def __call__(self) -> Buffer: ...


@dataclass(slots=True)
class Source:
    """`size` in bytes where it is known beforehand; `again` whether it can be read a second time."""

    fd: int
    name: str
    kind: str
    start: bytes
    size: int | None
    again: bool
    bmap: Bmap | None
    digest: str | None
    found: str = ""
    """The sha256 of a packed file as it is, once it has been read to its end and somebody has told one."""
    mark: Mark = field(init=False)

    def __post_init__(self) -> None:
        self.mark = mark(os.fstat(self.fd))

    def pieces(self, lend: Lender) -> Iterator[Piece]:
        """All of it. A piece's buffer is held for whoever iterates until the next piece is asked for.

        ImageError at the end of a file that was written to meanwhile: it would be half of each.
        """
        if self.again:
            os.lseek(self.fd, 0, os.SEEK_SET)
        if self.again and not self.kind:
            yield from self._sparse(lend)
        else:
            yield from self._stream(lend)
        if self.again and mark(os.fstat(self.fd)) != self.mark:
            raise ImageError("the image's file has changed while it was read")

    def _sparse(self, lend: Lender) -> Iterator[Piece]:
        """A file with holes: they are not read."""
        assert self.size is not None
        offset = 0
        while offset < self.size:
            data = min(_seek(self.fd, offset, os.SEEK_DATA, self.size), self.size) if offset else 0
            for first, last, mapped in pieces.split(offset, data, self.bmap) if data > offset else ():
                if self.bmap and mapped:  # what the bmap calls data is data
                    yield from self._chunks(lend, first, last)
                else:
                    yield Piece(first, last - first, Kind.ZERO if mapped else Kind.UNMAPPED)
            end = min(_seek(self.fd, data, os.SEEK_HOLE, self.size), self.size) if data < self.size else data
            end = end if offset else max(end, min(CHUNK, self.size))  # what holds sector 0 is always read
            yield from self._chunks(lend, data, end)
            offset = end

    def _chunks(self, lend: Lender, start: int, end: int) -> Iterator[Piece]:
        for place in range(start - start % CHUNK, end, CHUNK):
            yield from self._chunk(lend(), max(place, start), min(place + CHUNK, end))

    def _chunk(self, buffer: Buffer, first: int, last: int) -> Iterator[Piece]:
        try:
            view = buffer.view[: last - first]
            while view:
                count = os.preadv(self.fd, [view], last - len(view))
                if not count:
                    raise ImageError("the image's file has become shorter while it was read")
                view = view[count:]
            yield from pieces.carve(buffer, first, last - first, self.bmap)
        finally:
            buffer.release()

    def _stream(self, lend: Lender) -> Iterator[Piece]:
        hashed = bool(self.digest and self.kind)  # a bare image is hashed as an image
        packed = unpack.Packed(self.fd, b"" if self.again else self.start, hashed=hashed)
        stream = unpack.unpacked(packed, self.kind)
        try:
            offset = 0
            while True:
                buffer = lend()
                try:
                    length = _fill(stream, buffer.view)
                    if self.size is not None and offset + length > self.size:
                        raise ImageError(f"the image has more than the {self.size} bytes that were expected")
                    if length % SECTOR:
                        raise ImageError(f"the image ends within a sector, after {offset + length} bytes")
                    yield from pieces.carve(buffer, offset, length, self.bmap) if length else ()
                finally:
                    buffer.release()
                offset += length
                if length < CHUNK:
                    break
        finally:
            stream.close()
        self.found = packed.sha256()


def _seek(fd: int, offset: int, whence: int, size: int) -> int:
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:  # nothing but a hole until the end
            raise
        return size


def _fill(stream: unpack.Stream, view: memoryview) -> int:
    done = 0
    while done < len(view) and (count := stream.readinto(view[done:])):
        done += count
    return done
