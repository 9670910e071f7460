"""Which disks are under what the head has mounted or swaps to, worked out from what /proc and /sys say.

From the top down: a file system on LVM, on md, in a file behind a loop device. The way up, from a disk to
what is built on it, is `holders` in sysfs; both must agree that nobody needs the disk.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """A block device: a partition has a `disk`, dm and md have `slaves`, a loop device a `backing` file."""

    name: str
    device: str
    disk: str = ""
    slaves: tuple[str, ...] = ()
    backing: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo (proc_pid_mountinfo(5)); `device` is `8:1`, or `0:45` of no block device."""

    device: str
    point: str
    source: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's use of a block device: `what` is a mount point, or in words what it is."""

    what: str
    name: str


def mounts(text: str) -> Iterator[Mount]:
    """Every mount of a mountinfo; a line that is none is passed over."""
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if dash and len(fields) > 4 and len(rest) > 1:
            yield Mount(fields[2], _plain(fields[4]), _plain(rest[1]))


def swaps(text: str) -> Iterator[str]:
    """The path of every device and file of /proc/swaps, below its heading."""
    for line in text.splitlines()[1:]:
        yield _plain(line.split()[0])


def _plain(text: str) -> str:
    """Without the octal escapes of blanks."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def uses(blocks: Mapping[str, Block], claims: Iterable[Claim]) -> dict[str, tuple[str, ...]]:
    """Of each disk that is needed, in words what for: `/ is on dm-0 on sda2`."""
    claims = list(claims)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for claim in claims:
        for way in _ways_down([claim.name], blocks, claims):
            block = blocks.get(way[-1])
            words = " on ".join((f"{_printable(claim.what)} is on {way[0]}", *way[1:]))
            found[(block.disk if block else "") or way[-1]].add(words)
    return {disk: tuple(sorted(words)) for disk, words in found.items()}


def _ways_down(way: list[str], blocks: Mapping[str, Block], claims: list[Claim]) -> Iterator[list[str]]:
    """From a device to each one beneath it, with all that is between; a circle is left where it closes."""
    yield way
    if block := blocks.get(way[-1]):
        for name in (*_beneath(block, blocks), *_behind(block.backing, claims)):
            if name not in way:
                yield from _ways_down([*way, name], blocks, claims)


def _beneath(block: Block, blocks: Mapping[str, Block]) -> tuple[str, ...]:
    """What a device is made of; a partition is made of what its disk is made of."""
    disk = blocks.get(block.disk)
    return block.slaves + (disk.slaves if disk else ()) + ((block.disk,) if disk and disk.backing else ())


def _behind(backing: str, claims: list[Claim]) -> set[str]:
    """Where the file of a loop device is: on what is mounted nearest above it, whoever mounted it."""
    above = [claim for claim in claims if backing.startswith(claim.what.rstrip("/") + "/")]
    nearest = max((len(claim.what) for claim in above), default=0)
    return {claim.name for claim in above if len(claim.what) == nearest}


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)
