"""The fifth lock: a disk is opened for one alone, and asked again once it is open.

Names in /dev pass from one disk to the next. An open descriptor keeps its disk, and a disk that somebody
has open keeps its number (drivers/scsi/sd.c: scsi_disk_release). So what /sys/dev/block says of the
descriptor's number is said of what will be written, or nothing is said there any more.
"""

from __future__ import annotations

import errno
import os
import stat

from terrible.model import Location
from terrible.peers import Refused
from terrible.storage import locks
from terrible.storage.locks import Disk
from terrible.storage.reading import Machine, number

EXCLUSIVE = os.O_EXCL
"""With it the kernel opens a block device only if nobody has it mounted, as swap or open like this, whole or
in part, in any namespace; and lets nobody do so while it is open (block/bdev.c: bd_may_claim)."""
FLAGS = os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC | os.O_NOFOLLOW


def look(machine: Machine, slot: Location) -> Disk:
    """The disk at a slot, if locks 1 to 4 hold; Refused otherwise."""
    try:
        devices = machine.disks_at(slot)
        if not devices:
            raise Refused(f"there is no disk at {slot}")
        if len(devices) > 1:
            raise Refused(f"lock 1: there are {len(devices)} disks at {slot}; the card of a Pi is one")
        return _judged(machine, devices[0], slot)
    except FileNotFoundError as error:
        raise Refused(f"the disk at {slot} has just gone: {error.filename}") from error


def open_card(machine: Machine, slot: Location) -> tuple[int, Disk]:
    """A descriptor of the disk at a slot, with all five locks held, for the caller to close; else Refused."""
    seen = look(machine, slot)
    try:
        descriptor = os.open(machine.node(seen.name), FLAGS | EXCLUSIVE)
    except OSError as error:
        raise Refused(_why(seen, error)) from error
    try:
        return descriptor, asked_again(machine, descriptor, slot)
    except BaseException:
        os.close(descriptor)
        raise


def asked_again(machine: Machine, descriptor: int, slot: Location) -> Disk:
    """What a descriptor is of, if that is what locks 1 to 4 let pass; Refused otherwise."""
    status = os.fstat(descriptor)
    if not stat.S_ISBLK(status.st_mode):
        raise Refused("lock 5: what was opened is no block device")
    try:
        disk = _judged(machine, number(status.st_rdev), slot)
    except FileNotFoundError as error:
        raise Refused("lock 5: what was opened has just gone") from error
    if (size := os.lseek(descriptor, 0, os.SEEK_END)) != disk.size:
        raise Refused(f"lock 5: {disk.name} has {size} bytes and {disk.size} by sysfs: the card was changed")
    os.lseek(descriptor, 0, os.SEEK_SET)
    return disk


def _judged(machine: Machine, device: str, slot: Location) -> Disk:
    disk = machine.disk(device)
    if why := locks.refusal(disk, slot):
        raise Refused(why)
    return disk


def _why(disk: Disk, error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return f"lock 5: somebody else has {disk.name} or a partition of it"
    return f"lock 5: {disk.name} cannot be opened: {error.strerror}"
