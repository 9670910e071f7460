"""The locks between a request and somebody's disk, as decisions over what was read; no I/O here.

All of them must hold, and there is no way around one: who wants to write another disk has other tools.
The fifth is in `terrible.storage.opening`: the disk is opened with O_EXCL, and locks 1 to 4 are asked
again about the descriptor that came of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from terrible.model import Location
from terrible.usb.identify import DISKS, MASS_STORAGE

FRESH = 120_000
"""Milliseconds that a Pi may have been a disk: the agent has just made it one. Linux counts them in 32 bits
(jiffies_to_msecs), so the count starts anew after 49.7 days."""
SMALLEST, LARGEST = 2**30, 2**40
"""Bytes: no card that boots a Pi is smaller, none is larger yet, while the disks of heads may be."""
MOST_SAID = 3
"""Uses of a disk that are told; a head with containers has hundreds."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk as it was read at one moment.

    `path` is its directory beneath /sys, without links. `ids`, `interface_class` and `connected` (ms) are of
    the nearest USB device above it, None where there is none, or where the kernel does not tell.
    `held` and `used` say in words who has it or a partition of it.
    """

    name: str
    device: str
    path: str
    ids: tuple[int, int] | None
    interface_class: int | None
    connected: int | None
    size: int
    sector: int
    vendor: str
    model: str
    held: tuple[str, ...]
    used: tuple[str, ...]


Lock = Callable[[Disk, Location], str]
"""Why a disk is not to be opened for the slot at a location; empty where the lock holds."""


def is_at_the_slot(disk: Disk, slot: Location) -> str:
    """Lock 1: the USB device at the slot's port itself has this disk, and no hub is between them."""
    chain = [str(slot)]
    while not chain[0].startswith("usb"):
        chain.insert(0, Location(chain[0]).hub)
    usb = "/".join(map(re.escape, chain))
    scsi = r"host\d+/target\d+:\d+:\d+/\d+:\d+:\d+:\d+/block"
    if re.fullmatch(rf"devices/.+/{usb}/{re.escape(slot)}:\d+\.\d+/{scsi}/{re.escape(disk.name)}", disk.path):
        return ""
    return f"lock 1: {disk.name} is not the disk of the device at {slot}; it is {disk.path}"


def is_a_pi(disk: Disk, _slot: Location) -> str:
    """Lock 2: a Pi that shows its card looks like this, and next to nothing else does."""
    if disk.ids in DISKS and disk.interface_class == MASS_STORAGE:
        return ""
    what = f"{disk.ids[0]:04x}:{disk.ids[1]:04x}" if disk.ids else "no USB device"
    return f"lock 2: {disk.name} is {what} and not the card of a Pi in mass-storage mode"


def has_just_come(disk: Disk, _slot: Location) -> str:
    """Lock 3: it has become a disk just now, as a slot does whose card is to be written."""
    if disk.connected is None:
        return f"lock 3: the kernel does not tell since when {disk.name} is connected (CONFIG_PM)"
    if 0 <= disk.connected < FRESH:
        return ""
    seconds = f"{disk.connected // 1000} s, and {FRESH // 1000} s are the limit; cycle the slot"
    return f"lock 3: {disk.name} has been connected for {seconds}"


def is_not_held(disk: Disk, _slot: Location) -> str:
    """Lock 4, seen from the disk: nothing is built on it, as LVM, md and encryption are."""
    return f"lock 4: {disk.name} is in use: {', '.join(disk.held[:MOST_SAID])}" if disk.held else ""


def is_not_used(disk: Disk, _slot: Location) -> str:
    """Lock 4, seen from the mounts and the swap of the head: none of them leads down to this disk."""
    return f"lock 4: {disk.name} is in use: {', '.join(disk.used[:MOST_SAID])}" if disk.used else ""


def is_plausible(disk: Disk, _slot: Location) -> str:
    """Lock 4, by size: a card, and one that is in its slot."""
    if SMALLEST <= disk.size <= LARGEST:
        return ""
    return f"lock 4: {disk.name} has {disk.size} bytes, and a card has 1 GiB to 1 TiB"


LOCKS: tuple[Lock, ...] = (is_at_the_slot, is_a_pi, has_just_come, is_not_held, is_not_used, is_plausible)


def refusal(disk: Disk, slot: Location) -> str:
    """Why the disk is not to be opened for this slot, by the first lock that does not hold; else empty."""
    return next((why for lock in LOCKS if (why := lock(disk, slot))), "")
