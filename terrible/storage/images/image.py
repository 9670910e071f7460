"""An image that can be read at any offset that matters: its partition table and its boot partition.

Of one that is packed these are kept in a nameless file while it streams by, with holes for zeros: the boot
partition comes first, files are spread over it, and nothing but that file grows with its size.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from terrible.errors import HostError
from terrible.storage.images import stream
from terrible.storage.images.fat import Read, Volume
from terrible.storage.images.partitions import SECTOR, BadImage, Partition, Table, TooMuch, read_table

_GRAIN = 4096
_MOST_KEPT = 1 << 30
"""Bytes in the boot partition of a packed image, as they are kept in a file."""


@dataclass(frozen=True, slots=True)
class Image:
    """`sha256` and `size` (bytes) are of what is written to a card; None where that has not been read."""

    path: Path
    fd: int
    packed: bool
    table: Table
    size: int | None
    sha256: str | None
    read: Read

    def boot_volume(self) -> Volume:
        """The file system of the boot partition."""
        boot = self.table.boot
        return Volume(lambda offset, size: self.read(boot.start + offset, size), boot.size)


@contextmanager
def opened(path: Path, spill: Path, *, whole: bool, memory: int = stream.MEMORY) -> Iterator[Image]:
    """Open an image; `whole` reads it to its end, to be sure of it and for its hash.

    `spill` is a directory for what a packed image has in its boot partition, `memory` what its unpacker may
    take. HostError names the image, also where something in it turns out to be bad later.
    """
    fd = stream.opened(path)
    try:
        with _nameless(spill, path) as kept:
            yield _read(path, fd, kept, spill, whole=whole, memory=memory)
    except BadImage as error:
        raise type(error)(f"{path}: {error}") from None
    finally:
        os.close(fd)


def _nameless(spill: Path, path: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=spill)
    except OSError as error:
        raise HostError(f"{spill}: {error.strerror}, unpacking {path}") from None


def _read(path: Path, fd: int, kept: IO[bytes], spill: Path, *, whole: bool, memory: int) -> Image:
    packed = bool(stream.kind_of(fd))
    try:
        if packed:
            return _unpack(path, fd, kept, whole=whole, memory=memory)
        return _plain(path, fd, whole=whole)
    except OSError as error:
        where = f"{spill}, unpacking {path}" if packed else path
        raise HostError(f"{where}: {error.strerror or error}") from error


def _plain(path: Path, fd: int, *, whole: bool) -> Image:
    size = os.fstat(fd).st_size
    table = read_table(os.pread(fd, SECTOR, 0))
    _check_end(table, size)
    digest = None
    if whole:
        with stream.pieces(fd) as pieces:
            digest = _hash(pieces)
    return Image(path, fd, False, table, size, digest, _reader(fd, size))


def _hash(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _unpack(path: Path, fd: int, kept: IO[bytes], *, whole: bool, memory: int) -> Image:
    keeper = _Keeper(kept.fileno())
    with stream.pieces(fd, memory) as pieces:
        for piece in pieces:
            keeper.take(piece)
            if not whole and keeper.boot is not None and keeper.at >= keeper.boot.end:
                size = digest = None
                break
        else:
            size, digest = keeper.at, keeper.digest.hexdigest()
    table, boot = keeper.found()
    if size is not None:
        _check_end(table, size)
    kept.truncate(boot.end)
    return Image(path, fd, True, table, size, digest, _reader(kept.fileno(), boot.end))


class _Keeper:
    """Takes an image piece by piece, and keeps in a file what lies in its boot partition."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._head = b""
        self._kept = 0
        self.table: Table | None = None
        self.boot: Partition | None = None
        self.at = 0
        self.digest = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        self.digest.update(piece)
        if self.boot is None:
            self._head += piece
            if len(self._head) < SECTOR:
                return
            self.table = read_table(self._head[:SECTOR])
            self.boot = self.table.boot
            piece = self._head
        self._keep(self.boot, piece)
        self.at += len(piece)

    def found(self) -> tuple[Table, Partition]:
        """What was found, now that the image is over."""
        if self.table is None or self.boot is None:
            raise BadImage(f"it ends after {len(self._head)} bytes, in the middle of the partition table")
        return self.table, self.boot

    def _keep(self, boot: Partition, piece: bytes) -> None:
        start, end = max(self.at, boot.start), min(self.at + len(piece), boot.end)
        for at in range(start, end, _GRAIN):
            grain = piece[at - self.at : min(at + _GRAIN, end) - self.at]
            if grain.count(0) < len(grain):
                self._kept += os.pwrite(self._file, grain, at)
        if self._kept > _MOST_KEPT:
            raise TooMuch(f"its boot partition holds more than {_MOST_KEPT >> 20} MiB; unpack it by hand")


def _check_end(table: Table, size: int) -> None:
    if table.end > size:
        raise BadImage(f"it is cut short: it has {size} bytes, its partitions need {table.end}")


def _reader(fd: int, end: int) -> Read:
    def read(offset: int, size: int) -> bytes:
        try:
            content = os.pread(fd, size, offset) if 0 <= offset <= end - size else b""
        except OSError as error:
            raise BadImage(f"byte {offset} cannot be read: {error.strerror}") from error
        if len(content) < size:
            raise BadImage(f"something in it leads to byte {offset + size}, which is not there")
        return content

    return read
