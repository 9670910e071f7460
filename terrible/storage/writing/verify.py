"""Reading a card back: all that was written on it, from the card itself, against the image's digests."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from threading import Thread

from terrible.storage.faults import CardError, at
from terrible.storage.writing.device import Device
from terrible.storage.writing.layout import Extent, Layout
from terrible.storage.writing.pool import CHUNK, is_zero

AHEAD = 2
"""Buffers of a card: one is read while the other is hashed."""
EDGE = 4096


def verify(
    device: Device, reads: Sequence[Extent], kind: str, head: memoryview, step: Callable[[int], None]
) -> None:
    """Raise CardError at the first place where the card differs. `head` is sector 0, which is not there yet.

    `step` hears the length of each read that was right.
    """
    device.forget()
    digest = hashlib.new(kind)
    for wanted, room in _read(device, reads):
        if not wanted.offset:
            room[: len(head)] = head
        if wanted.digest is None:
            same = is_zero(room)
        else:
            if wanted.anew:
                digest = hashlib.new(kind)
            digest.update(room)
            same = digest.copy().digest() == wanted.digest
        if not same:
            raise CardError(f"the card does not hold what was written {at(wanted.offset)}")
        step(wanted.length)


def needed(layout: Layout, *, blank: bool) -> Iterator[Extent]:
    """What must be read: all that was written. On a card that was `blank` zeros were not.

    There both ends of each chunk are read: what a card leaves of a discard is where its own blocks, or the
    pieces that the kernel cuts it into, do not fit.
    """
    for extent in layout.extents:
        if extent.digest is not None:
            yield extent
        elif blank:
            yield from (end for chunk in _zeros(extent) for end in _ends(chunk))
        else:
            yield from _zeros(extent)


def _zeros(extent: Extent) -> Iterator[Extent]:
    end = extent.offset + extent.length
    for offset in range(extent.offset, end, CHUNK):
        yield Extent(offset, min(CHUNK, end - offset))


def _ends(chunk: Extent) -> Iterator[Extent]:
    yield Extent(chunk.offset, min(EDGE, chunk.length))
    if chunk.length > EDGE:
        yield Extent(chunk.offset + chunk.length - EDGE, EDGE)


def _read(device: Device, reads: Sequence[Extent]) -> Iterator[tuple[Extent, memoryview]]:
    """Each read with its bytes; the next one is under way meanwhile."""
    free: Queue[memoryview | None] = Queue()
    full: Queue[tuple[Extent, memoryview] | CardError] = Queue()
    for _ in range(AHEAD):
        free.put(memoryview(mmap.mmap(-1, CHUNK)))
    reader = Thread(target=_ahead, args=(device, reads, free, full), name="read back", daemon=True)
    reader.start()
    try:
        for _ in reads:
            got = full.get()
            if isinstance(got, CardError):
                raise got
            yield got[0], got[1][: got[0].length]
            free.put(got[1])
    finally:
        free.put(None)
        reader.join()


def _ahead(
    device: Device,
    reads: Sequence[Extent],
    free: Queue[memoryview | None],
    full: Queue[tuple[Extent, memoryview] | CardError],
) -> None:
    try:
        for wanted in reads:
            room = free.get()
            if room is None:
                return
            device.read(room[: wanted.length], wanted.offset)
            full.put((wanted, room))
    except CardError as error:
        full.put(error)
