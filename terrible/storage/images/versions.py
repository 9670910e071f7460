"""Which version a kernel or a firmware file says it is, found while it is hashed.

The firmware carries its build in plain text (`strings start.elf | grep VC_BUILD_ID`), a kernel its banner,
`Linux version 6.12.25+rpt-rpi-v8 (…`; that is packed, with gzip in kernel8.img and mostly in a zImage.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BANNER = re.compile(rb"Linux version ([\w.+~-]{3,80}) ")
_BUILD = re.compile(rb"VC_BUILD_ID_VERSION: ([0-9a-f]{7,40})[^0-9a-f]")
_OVERLAP = 128
_GZIP = b"\x1f\x8b\x08\x00"
_PIECE = 64 * 1024
_MOST_UNPACKED = 128 * 1024 * 1024
_MOST_TRIES = 256
"""Places in a file that look like gzip: a kernel has a few, and each costs a copy of a piece."""


@dataclass(frozen=True, slots=True)
class Version:
    """A file of the boot partition; `version` None where it does not say."""

    name: str
    size: int
    sha256: str
    version: str | None


def version_of(name: str, pieces: Iterable[bytes]) -> Version | None:
    """What a kernel or firmware file says of itself; None for any other file, which is not read."""
    if re.fullmatch(r"kernel[^/]*\.img", name):
        searches = [_Search(_BANNER), _Packed(_Search(_BANNER))]
    elif re.fullmatch(r"(bootcode[^/]*\.bin|start[^/]*\.elf|fixup[^/]*\.dat)", name):
        searches = [_Search(_BUILD)]
    else:
        return None
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        for search in searches:
            search.feed(piece)
    found = next((search.found for search in searches if search.found), None)
    return Version(name, size, digest.hexdigest(), found)


class _Search:
    """The first match of a pattern in bytes that come in pieces."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self._tail = b""
        self.found: str | None = None

    def feed(self, piece: bytes) -> None:
        if self.found is None:
            text = self._tail + piece
            if match := self._pattern.search(text):
                self.found = match[1].decode()
            self._tail = text[-_OVERLAP:]


class _Packed(_Search):
    """The same in what is packed with gzip somewhere inside."""

    def __init__(self, inner: _Search) -> None:
        super().__init__(re.compile(_GZIP))
        self._inner = inner
        self._unpacker: zlib._Decompress | None = None
        self._left, self._tries = _MOST_UNPACKED, _MOST_TRIES

    def feed(self, piece: bytes) -> None:
        if self._unpacker is None:
            piece = self._tail + piece
        while piece and self._inner.found is None and self._left > 0:
            if self._unpacker is None:
                at = piece.find(_GZIP) if self._tries else -1
                self._tail = piece[-len(_GZIP) + 1 :]
                if at < 0:
                    return
                self._tries -= 1
                self._unpacker, piece = zlib.decompressobj(31), piece[at:]
            piece = self._unpack(self._unpacker, piece)
        self.found = self._inner.found

    def _unpack(self, unpacker: zlib._Decompress, piece: bytes) -> bytes:
        """Search in what it unpacks to; what is left of the piece where that was no gzip, or is over."""
        try:
            for content in _inflate(unpacker, piece):
                self._left -= len(content)
                self._inner.feed(content)
                if self._inner.found or self._left <= 0:
                    return b""
        except zlib.error:
            self._unpacker = None
            return piece[1:] if piece.startswith(_GZIP) else piece
        if unpacker.eof:
            self._unpacker = None
        return unpacker.unused_data


def _inflate(unpacker: zlib._Decompress, piece: bytes) -> Iterator[bytes]:
    while piece and not unpacker.eof:
        yield unpacker.decompress(piece, _PIECE)
        piece = unpacker.unconsumed_tail
