"""The 32-byte entries of a FAT directory, and the long names that are spread over several of them.

After Microsoft's "FAT: General Overview of On-Disk Format" 1.03. Of a long name whose pieces do not fit
together the short name is left, as Linux and mtools do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SIZE = 32
_END, _DELETED, _KANJI = 0x00, 0xE5, 0x05
_LABEL, _DIRECTORY, _LONG = 0x08, 0x10, 0x0F
_LOWER_NAME, _LOWER_SUFFIX = 0x08, 0x10
_LAST = 0x40
_MOST_PIECES = 20
"""255 characters of 13 in each entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory: its first cluster, 0 for none, and its size in bytes, 0 for a directory."""

    name: str
    is_directory: bool
    cluster: int
    size: int


def entries(content: bytes) -> Iterator[Entry]:
    """What a directory's content names, without `.`, `..` and the label."""
    pieces: list[bytes] = []
    for at in range(0, len(content) - SIZE + 1, SIZE):
        raw = content[at : at + SIZE]
        if raw[0] == _END:
            return
        if raw[11] & 0x3F == _LONG:
            pieces = _collect(pieces, raw)
            continue
        if raw[0] != _DELETED and not raw[11] & _LABEL and raw[:11] not in (b".          ", b"..         "):
            yield _entry(raw, _long(pieces, raw[:11]) or _short(raw))
        pieces = []


def _collect(pieces: list[bytes], raw: bytes) -> list[bytes]:
    """The pieces of a long name so far, in the order they are stored: the last one first."""
    if raw[0] == _DELETED:
        return []
    return [raw] if raw[0] & _LAST else [*pieces, raw][: _MOST_PIECES + 1]


def _long(pieces: list[bytes], short: bytes) -> str:
    """The long name, or "" where its pieces are not those of this short name."""
    checksum = _checksum(short)
    for number, raw in zip(range(len(pieces), 0, -1), pieces, strict=True):
        if raw[0] & 0x3F != number or raw[13] != checksum:
            return ""
    text = b"".join(raw[1:11] + raw[14:26] + raw[28:32] for raw in reversed(pieces[:_MOST_PIECES]))
    return text.decode("utf-16-le", "replace").partition("\0")[0]


def _checksum(short: bytes) -> int:
    total = 0
    for byte in short:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    return total


def _short(raw: bytes) -> str:
    """The 8.3 name; whether its parts are in lower case is told apart, as Windows NT and Linux do."""
    first = bytes([_DELETED]) if raw[0] == _KANJI else raw[:1]
    name = (first + raw[1:8]).decode("cp437").rstrip(" ")
    suffix = raw[8:11].decode("cp437").rstrip(" ")
    name = name.lower() if raw[12] & _LOWER_NAME else name
    suffix = suffix.lower() if raw[12] & _LOWER_SUFFIX else suffix
    return f"{name}.{suffix}" if suffix else name


def _entry(raw: bytes, name: str) -> Entry:
    high, low, size = struct.unpack("<20xH4xHI", raw)
    is_directory = bool(raw[11] & _DIRECTORY)
    return Entry(name, is_directory, high << 16 | low, 0 if is_directory else size)
