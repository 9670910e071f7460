"""A bmap: which blocks of an image mean something, each range with a digest (bmap-tools, 1.0 to 2.0).

Text in, values out. 1.0 to 1.2 know no digest of the file itself; up to 1.3 a range's is SHA-1 and called
`sha1`, later its kind is told and it is called `chksum`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

from terrible.storage.faults import ImageError

SECTOR = 512
KINDS = ("sha1", "sha256")
LONGEST, MOST = 8 * 1024 * 1024, 160_000
"""Bytes of a bmap, and tags or attributes in it, for 80,000 ranges. Each costs memory: 60 MB of XML took
1.4 GB."""
MOST_SAID = 200
"""Characters of what is wrong, which may be what is in it: an answer goes over MQTT."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """Bytes `start` to `end` of the image, and their digest in hex, empty where none is told."""

    start: int
    end: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Bmap:
    """Bytes of the whole image, and the ranges that mean something, in order, apart from each other."""

    size: int
    ranges: tuple[Mapped, ...]
    kind: str = ""

    @property
    def mapped(self) -> int:
        """Bytes that mean something."""
        return sum(one.end - one.start for one in self.ranges)


def parse(text: bytes) -> Bmap:
    """The map in this file; raises ImageError where it is damaged or says what cannot be."""
    try:
        return _checked(text)
    except (ET.ParseError, ValueError, TypeError, LookupError) as error:
        raise ImageError(f"the bmap is not one: {str(error)[:MOST_SAID]}") from error


def _checked(text: bytes) -> Bmap:
    if len(text) > LONGEST or max(text.count(b"<"), text.count(b"=")) > MOST:
        raise ValueError(f"it is too long: more than {LONGEST >> 20} MB, or {MOST} tags")
    root = ET.fromstring(text, ET.XMLParser(target=_Tree()))  # noqa: S314  # without entities
    version = tuple(int(part) for part in root.attrib["version"].strip().split("."))
    if root.tag != "bmap" or len(version) != 2 or not (1, 0) <= version <= (2, 999):
        raise ValueError(f"<{root.tag}> of version {root.attrib['version']}, known are 1.0 to 2.0")
    kind = (_text(root, "ChecksumType").lower() if version >= (1, 4) else "sha1") if version >= (1, 2) else ""
    if kind and kind not in KINDS:
        raise ValueError(f"digests of kind {kind!r}; known are {', '.join(KINDS)}")
    if version >= (1, 3):
        _check_itself(text, kind, _text(root, "BmapFileChecksum" if version >= (1, 4) else "BmapFileSHA1"))
    size, block = int(_text(root, "ImageSize")), int(_text(root, "BlockSize"))
    if size <= 0 or block <= 0 or block % SECTOR:
        raise ValueError(
            f"an image of {size} bytes in blocks of {block}; a block is whole sectors of {SECTOR}"
        )
    ranges = tuple(_ranges(root, size, block, "chksum" if version >= (1, 4) else "sha1", kind))
    if any(one.end > two.start for one, two in pairwise(ranges)):
        raise ValueError("its ranges overlap or are not in order")
    if not ranges or ranges[0].start:
        raise ValueError("it leaves out block 0, and without that no card boots")
    return Bmap(size, ranges, kind)


class _Tree(ET.TreeBuilder):
    """Refuses what entities are declared in, in whatever encoding."""

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise ValueError("it has a document type, which no bmap has")


def _text(root: ET.Element, tag: str) -> str:
    found = root.find(tag)
    if found is None or not found.text or not found.text.strip():
        raise ValueError(f"<{tag}> is missing")
    return found.text.strip()


def _check_itself(text: bytes, kind: str, told: str) -> None:
    """The file's digest is that of the file with zeros in the digest's place."""
    if text.count(told.encode()) != 1:
        raise ValueError("its own digest is not in it once")
    blank = text.replace(told.encode(), b"0" * len(told))
    if hashlib.new(kind, blank).hexdigest() != told.lower():
        raise ValueError("it does not have the digest that it tells of itself")


def _ranges(root: ET.Element, size: int, block: int, name: str, kind: str) -> Iterator[Mapped]:
    blocks = -(-size // block)
    for one in root.iterfind("BlockMap/Range"):
        match = re.fullmatch(r"\s*(\d{1,15})\s*(?:-\s*(\d{1,15})\s*)?", one.text or "", re.ASCII)
        if not match:
            raise ValueError(f"a range is two numbers of blocks, not {one.text!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < blocks:
            raise ValueError(f"blocks {first} to {last} of {blocks}")
        digest = one.attrib.get(name, "").lower()
        if digest and (not kind or len(digest) != 2 * hashlib.new(kind).digest_size):
            raise ValueError(f"a digest of {len(digest)} characters")
        yield Mapped(first * block, min((last + 1) * block, size), digest)
