"""Whether a card reads zeros wherever nothing was written since its content was discarded.

What the kernel says of that is worth nothing (since 4.12 it answers "no" to everybody, Linux 48920ff2a5a9),
and a card that happens to be empty proves nothing. So something is written all over it first, which
must be gone after the discard.
"""

from __future__ import annotations

import mmap
import os

from terrible.storage.faults import CardError
from terrible.storage.writing.device import Device

MARK = 4096
MARKS = 32


def made_blank(device: Device, size: int) -> bool:
    """Discard the card; whether its first `size` bytes read zeros now. Sector 0 reads zeros before, too."""
    if not device.discards():
        return False
    step = max(size // MARKS // MARK, 1) * MARK
    places = list(range(step, size - MARK + 1, step))[:MARKS]
    mark = memoryview(mmap.mmap(-1, MARK))
    mark[:] = os.urandom(MARK)
    for place in places:
        device.write(mark, place)
    device.flush()
    try:
        device.discard()
    except CardError:
        return False
    return all(_reads_zeros(device, mark, place) for place in places)


def _reads_zeros(device: Device, room: memoryview, place: int) -> bool:
    device.read(room, place)
    return not any(room.tobytes())
