"""`bootfiles.bin`: a plain tar archive that usbboot packs boot files in, read without unpacking.

Its members are `<chip>/<name>`; names compare without case and the first of two wins, as in usbboot's
bootfiles.c. Extension headers (pax, GNU) are skipped: names that need them are longer than usbboot's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from terrible.errors import BootError
from terrible.usb.cache import Cache, Content, Version, version_of

_BLOCK = 512
_FILES = (b"0", b"\0", b"7")
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_TRIES = 4
"""One to learn the headers, the others for an archive that is changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Index:
    """Where every member lies, as (offset, size); `problem` says what is wrong with the archive."""

    version: Version
    members: dict[str, tuple[int, int]] = field(default_factory=dict)
    problem: str = ""


class Archive:
    """One archive on disk and the index of its present version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index: Index | None = None

    async def read(self, cache: Cache, member: str) -> Content:
        """A member's content; OSError (ENOENT) without one, BootError for what is no archive."""
        for _ in range(_TRIES):
            fd = _open(self._path)
            version = version_of(fd)
            if self._index is None or self._index.version != version:
                os.close(fd)
                self._index = await asyncio.to_thread(read_index, self._path)
                continue
            content = await cache.read(fd, *self._extent(fd, self._index, member))
            if content.version == version:
                return content
        raise BootError(f"{self._path} is being changed all the time")

    def _extent(self, fd: int, index: Index, member: str) -> tuple[int, int]:
        """Where the member lies; closes `fd` where there is none."""
        if (extent := index.members.get(member.lower())) is not None:
            return extent
        os.close(fd)
        if index.problem:
            raise BootError(f"{self._path} is no usable tar archive: {index.problem}")
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def read_index(path: Path) -> Index:
    """All members of an archive; whatever it contains, only opening or reading it raises (OSError)."""
    fd = _open(path)
    version = version_of(fd)
    members: dict[str, tuple[int, int]] = {}
    try:
        _scan(fd, version[-1], members)
    except ValueError as error:
        return Index(version, {}, str(error))
    finally:
        os.close(fd)
    return Index(version, members)


def _scan(fd: int, end: int, members: dict[str, tuple[int, int]]) -> None:
    at = 0
    while at < end:
        header = os.pread(fd, _BLOCK, at)
        if not any(header):
            return
        name, kind, size = _header(header, at)
        start, at = at + _BLOCK, at + _BLOCK - (-size // _BLOCK) * _BLOCK
        if at > end:
            raise ValueError(f"it ends in the middle of {name!r}")
        if kind in _FILES:
            members.setdefault(name, (start, size))


def _header(header: bytes, at: int) -> tuple[str, bytes, int]:
    """The name, type and size in a ustar header block."""
    if len(header) < _BLOCK:
        raise ValueError("it ends in the middle of a header")
    if sum(header) - sum(header[148:156]) + 8 * 0x20 != _octal(header[148:156], at):
        raise ValueError(f"there is no header at byte {at}")
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    name = f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])
    return name.removeprefix("./").lower(), header[156:157], _octal(header[124:136], at)


def _octal(field: bytes, at: int) -> int:
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise ValueError(f"there is no number in the header at byte {at}")
    return int(match[1] or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("latin-1")


def _open(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
