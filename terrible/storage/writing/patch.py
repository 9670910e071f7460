"""A few bytes that one card has and the image has not, such as its node's host keys."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from terrible.storage.faults import CardError, ImageError, at
from terrible.storage.writing.device import Device

LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Patch:
    """`data` goes to byte `offset` of the card, never into sector 0."""

    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + len(self.data)


def loaded(offset: int, path: Path) -> Patch:
    """The patch in this file; ImageError where it cannot be one."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise ImageError(f"the patch {path}: {error.strerror}") from error
    if not 0 < len(data) <= LONGEST:
        raise ImageError(f"the patch {path} is empty or longer than {LONGEST} bytes")
    return Patch(offset, data)


def check(device: Device, patch: Patch) -> None:
    """Raise CardError where it does not fit on this card, or would touch sector 0."""
    if not device.sector <= patch.offset <= device.size - len(patch.data):
        raise CardError(f"a patch of {len(patch.data)} bytes does not fit on the card {at(patch.offset)}")


def put(device: Device, patch: Patch) -> None:
    """Write it into the whole sectors around it, flush, and read it back; CardError if it is not there."""
    first = patch.offset - patch.offset % device.sector
    length = -(-(patch.end - first) // device.sector) * device.sector
    room = memoryview(mmap.mmap(-1, length))
    device.read(room, first)
    room[patch.offset - first : patch.end - first] = patch.data
    wanted = room.tobytes()
    device.write(room, first)
    device.flush()
    device.forget()
    room[:] = bytes(length)
    device.read(room, first)
    if room.tobytes() != wanted:
        raise CardError(f"the card does not hold the patch that was written {at(patch.offset)}")
