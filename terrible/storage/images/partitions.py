"""The partition table in the first sector of an image, what its entries are for, and how far they reach.

Of the entries only the MBR's four are read, which is what the images of Raspberry Pi OS have (pi-gen,
export-image/prerun.sh) and all that the boot ROM of the older chips knows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from terrible.errors import HostError

SECTOR = 512
_ENTRY = struct.Struct("<B3xB3xII")
_FIRST_ENTRY = 446
_ID = 440
_GPT = 0xEE
_FATS = {0x01: "FAT12", 0x04: "FAT16", 0x06: "FAT16", 0x0B: "FAT32", 0x0C: "FAT32", 0x0E: "FAT16"}
_NAMES = {**_FATS, 0x05: "extended", 0x0F: "extended", 0x82: "Linux swap", 0x83: "Linux"}


class BadImage(HostError):
    """What is in an image makes no sense. The message says what; who has opened the image says where."""


class TooMuch(BadImage):
    """It may be a good image, but nobody looks into it here."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry: `number` from 1, `kind` its type byte, `start` and `size` in bytes."""

    number: int
    kind: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.size

    @property
    def label(self) -> str:
        """Its type in words."""
        return _NAMES.get(self.kind, f"type 0x{self.kind:02x}")


@dataclass(frozen=True, slots=True)
class Table:
    """The entries that are in use; `disk_id` is what PARTUUID= begins with, eight hexadecimal digits."""

    disk_id: str
    partitions: tuple[Partition, ...]

    @property
    def end(self) -> int:
        """How many bytes an image of these partitions has at least."""
        return max(partition.end for partition in self.partitions)

    @property
    def boot(self) -> Partition:
        """The first one of a FAT type, which the boot ROM looks into. BadImage without one."""
        for partition in self.partitions:
            if partition.kind in _FATS:
                return partition
        raise BadImage("it has no FAT partition, so no Pi can boot from it")

    @property
    def root(self) -> Partition | None:
        """The first one for Linux."""
        return next((partition for partition in self.partitions if partition.kind == 0x83), None)


def read_table(sector: bytes) -> Table:
    """The table in the first 512 bytes of an image; BadImage says why there is none."""
    if len(sector) < SECTOR:
        raise BadImage(f"it ends after {len(sector)} bytes, in the middle of the partition table")
    if sector[510:512] != b"\x55\xaa":
        raise BadImage("it has no partition table, so it is no image of a card")
    entries = _entries(sector)
    if any(kind == _GPT for _, kind, _, _ in entries):
        raise BadImage("it has a GPT partition table; only images with an MBR are known here")
    if any(status not in (0x00, 0x80) for status, *_ in entries):
        raise BadImage("its first sector is no partition table; is it a file system without partitions?")
    used = tuple(
        Partition(number, kind, start * SECTOR, count * SECTOR)
        for number, (_, kind, start, count) in enumerate(entries, 1)
        if kind and count
    )
    _check(used)
    return Table(f"{struct.unpack_from('<I', sector, _ID)[0]:08x}", used)


def reach(start: bytes | memoryview) -> int:
    """Bytes that an image with this start must have at least, 0 where it tells nothing. Needs 1024 bytes.

    A GPT (UEFI 5.3) has a header in sector 1 that tells where its copy is, the disk's last sector.
    """
    if len(start) < 2 * SECTOR or bytes(start[510:512]) != b"\x55\xaa":
        return 0
    entries = _entries(start)
    if all(kind != _GPT for _, kind, _, _ in entries):
        return max((first + count) * SECTOR if kind else 0 for _, kind, first, count in entries)
    signature, copy = struct.unpack_from("<8s24xQ", start, SECTOR)
    return (int(copy) + 1) * SECTOR if signature == b"EFI PART" else 0


def _entries(sector: bytes | memoryview) -> list[tuple[int, int, int, int]]:
    """Status, type, first sector and number of sectors of each."""
    return [_ENTRY.unpack_from(sector, _FIRST_ENTRY + 16 * index) for index in range(4)]


def _check(partitions: tuple[Partition, ...]) -> None:
    """Nobody may write into one partition and damage another, or the table."""
    if not partitions:
        raise BadImage("its partition table is empty")
    end, before = SECTOR, 0
    for partition in sorted(partitions, key=lambda partition: partition.start):
        if partition.start < end:
            other = f"partition {before}" if before else "the partition table"
            raise BadImage(f"its partition {partition.number} begins inside {other}")
        end, before = partition.end, partition.number
