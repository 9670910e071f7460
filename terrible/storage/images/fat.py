"""The files in a FAT12, FAT16 or FAT32 file system, over anything that can be read at an offset.

After Microsoft's "FAT: General Overview of On-Disk Format" 1.03. What is read was written by strangers:
whatever it says, memory is bounded, every loop ends, and no name leads out of the directory it is put into.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from terrible.storage.images import fatnames
from terrible.storage.images.partitions import BadImage

Read = Callable[[int, int], bytes]
"""Exactly so many bytes from an offset; BadImage where the image ends before."""

_PIECE = 256 * 1024
_WINDOW = 64 * 1024
_WINDOWS = 32
_MOST_ENTRIES = 65_536
"""Of one directory, in 2 MiB, as the specification has it; and here of the whole file system."""
_DEEPEST = 32
_MOST_TEXT = 1 << 20
"""Characters of all paths together. A path holds all names above it: a deep tree of long ones took 500 MB."""


@dataclass(frozen=True, slots=True)
class File:
    """A file or directory by its path from the root, `overlays/dwc2.dtbo`; `size` in bytes."""

    path: str
    is_directory: bool
    cluster: int
    size: int


class Volume:
    """One file system; `read` is relative to its first byte."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._layout = _layout(read(0, 512), size)
        self._fat = _Fat(read, self._layout)
        self.kind = f"FAT{self._layout.bits}"

    def walk(self) -> Iterator[File]:
        """Every file and directory, a directory before what is in it. BadImage for what cannot be."""
        budget = _Budget(self._layout.clusters)
        yield from self._below("", self._root(budget), 0, budget)

    def content(self, file: File) -> Iterator[bytes]:
        """A file's content in pieces."""
        left = file.size
        for cluster, count in self._runs(file.cluster, self._layout.needed(left), file.path):
            at, end = self._layout.offset(cluster), self._layout.offset(cluster + count)
            end = min(end, at + left)
            left -= end - at
            for start in range(at, end, _PIECE):
                yield self._read(start, min(_PIECE, end - start))

    def _below(self, path: str, content: bytes, depth: int, budget: _Budget) -> Iterator[File]:
        if depth > _DEEPEST:
            raise BadImage(f"its FAT directories are more than {_DEEPEST} deep")
        seen: set[str] = set()
        for entry in fatnames.entries(content):
            file = self._file(path, entry, seen)
            budget.spend(self._layout.needed(entry.size), len(file.path))
            yield file
            if entry.is_directory and entry.cluster:
                yield from self._below(f"{file.path}/", self._directory(file, budget), depth + 1, budget)

    def _file(self, path: str, entry: fatnames.Entry, seen: set[str]) -> File:
        name = entry.name
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise BadImage(f"its FAT directory /{path} has a file with the name {name!r}")
        if name.lower() in seen:
            raise BadImage(f"its FAT directory /{path} has two files with the name {name}")
        seen.add(name.lower())
        return File(path + name, entry.is_directory, entry.cluster, entry.size)

    def _root(self, budget: _Budget) -> bytes:
        layout = self._layout
        if layout.bits != 32:
            return self._read(layout.root_at, layout.root_entries * fatnames.SIZE)
        return self._directory(File("", True, layout.root_cluster, 0), budget)

    def _directory(self, file: File, budget: _Budget) -> bytes:
        content = bytearray()
        most = self._layout.needed(_MOST_ENTRIES * fatnames.SIZE)
        for cluster, count in self._runs(file.cluster, None, file.path):
            budget.spend(count)
            if (most := most - count) < 0:
                raise BadImage(f"its FAT directory /{file.path} is too large, or runs in a circle")
            content += self._read(self._layout.offset(cluster), count * self._layout.cluster)
        return bytes(content)

    def _runs(self, cluster: int, needed: int | None, path: str) -> Iterator[tuple[int, int]]:
        """The clusters of a chain as (first, count) of neighbours; `needed` None: until the chain ends."""
        while needed is None or needed > 0:
            if not 2 <= cluster < self._layout.clusters + 2:
                raise BadImage(f"its FAT chain of /{path} leads to cluster {cluster}, which is not there")
            most = min(_PIECE // self._layout.cluster or 1, needed or _PIECE)
            count, after = self._fat.neighbours(cluster, most)
            yield cluster, count
            needed = None if needed is None else needed - count
            if after is None:
                break
            cluster = after
        if needed:
            raise BadImage(f"its FAT chain of /{path} ends {needed} clusters before the file does")


class _Budget:
    """Clusters and entries that a walk may meet: no cluster belongs to two files, so it soon ends."""

    def __init__(self, clusters: int) -> None:
        self._clusters = clusters
        self._entries = _MOST_ENTRIES
        self._text = _MOST_TEXT

    def spend(self, clusters: int, text: int = 0) -> None:
        self._clusters -= clusters
        self._entries -= 1
        self._text -= text
        if self._clusters < 0:
            raise BadImage("its FAT files are larger than the file system: one leads into another")
        if self._entries < 0:
            raise BadImage(f"it has more than {_MOST_ENTRIES} FAT files")
        if self._text < 0:
            raise BadImage(f"the names of its FAT files have more than {_MOST_TEXT} characters")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything lies, in bytes from the start. `clusters` is how many there are, from number 2."""

    bits: int
    cluster: int
    clusters: int
    fat_at: int
    fat_size: int
    root_at: int
    root_entries: int
    root_cluster: int
    data_at: int

    def offset(self, cluster: int) -> int:
        return self.data_at + (cluster - 2) * self.cluster

    def needed(self, size: int) -> int:
        """How many clusters so many bytes take."""
        return -(-size // self.cluster)


def _layout(sector: bytes, size: int) -> _Layout:
    values = struct.unpack_from("<HBHBHHxH8xI", sector, 11)
    per_sector, per_cluster, reserved, fats, root_entries, small_total, small_fat, large_total = values
    large_fat, root_cluster = struct.unpack_from("<I4xI", sector, 36)
    _check(sector, per_sector, per_cluster, reserved, fats)
    fat_size = (small_fat or large_fat) * per_sector
    total = (small_total or large_total) * per_sector
    fat_at = reserved * per_sector
    root_at = fat_at + fats * fat_size
    data_at = root_at + -(-root_entries * fatnames.SIZE // per_sector) * per_sector
    clusters = (total - data_at) // (per_sector * per_cluster)
    if not 0 < total <= size or not fat_size or clusters < 1:
        raise BadImage("its FAT file system does not fit into its partition")
    bits = 32 if not small_fat else 12 if clusters < 4085 else 16
    # Entries that the FAT has no room for lead nowhere.
    clusters = min(clusters, fat_size * 8 // bits - 2)
    cluster = per_sector * per_cluster
    return _Layout(bits, cluster, clusters, fat_at, fat_size, root_at, root_entries, root_cluster, data_at)


def _check(sector: bytes, per_sector: int, per_cluster: int, reserved: int, fats: int) -> None:
    sound = (
        sector[510:512] == b"\x55\xaa"
        and per_sector in (512, 1024, 2048, 4096)
        and per_cluster in (1, 2, 4, 8, 16, 32, 64, 128)
        and reserved > 0
        and fats in (1, 2)
    )
    if not sound:
        raise BadImage("its boot partition holds no FAT file system")


class _Fat:
    """The table of which cluster follows which; pieces of it are in memory."""

    def __init__(self, read: Read, layout: _Layout) -> None:
        self._read = read
        self._layout = layout
        self._windows: dict[int, bytes] = {}

    def neighbours(self, cluster: int, most: int) -> tuple[int, int | None]:
        """How many clusters follow each other from this one on, at most `most`, and the next one then."""
        count = 1
        while (after := self._after(cluster)) == cluster + 1 and count < most:
            cluster, count = after, count + 1
        return count, after

    def _after(self, cluster: int) -> int | None:
        bits = self._layout.bits
        number, at = divmod(cluster * bits // 8, _WINDOW)
        value = int.from_bytes(self._window(number)[at : at + (4 if bits == 32 else 2)], "little")
        if bits == 12:
            value = value >> 4 if cluster % 2 else value & 0xFFF
        value &= 0x0FFFFFFF
        return None if value >= (1 << min(bits, 28)) - 8 else value

    def _window(self, number: int) -> bytes:
        """A piece of the table, and the byte behind it that an entry of 12 bits may reach into."""
        if number not in self._windows:
            if len(self._windows) >= _WINDOWS:
                del self._windows[next(iter(self._windows))]
            at = number * _WINDOW
            size = min(_WINDOW + 1, self._layout.fat_size - at)
            self._windows[number] = self._read(self._layout.fat_at + at, size)
        return self._windows[number]
