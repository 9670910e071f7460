"""The memory that an image passes through: so many buffers and not one more.

A buffer is lent to everybody who needs what is in it, and is free again when the last of them lets go.
"""

from __future__ import annotations

import mmap
from collections import deque
from threading import Condition

CHUNK = 1 << 20
"""Bytes of a buffer; pages, because O_DIRECT wants aligned memory (open(2))."""
ZEROS = bytes(CHUNK)


class Buffer:
    """One chunk of memory, and how many hold on to it."""

    __slots__ = ("_held", "_pool", "view")

    def __init__(self, pool: Pool) -> None:
        self.view = memoryview(mmap.mmap(-1, CHUNK))
        self._pool = pool
        self._held = 0

    def hold(self) -> None:
        """One more needs it."""
        with self._pool.changed:
            self._held += 1

    def release(self) -> None:
        """One less needs it; the last gives it back."""
        with self._pool.changed:
            self._held -= 1
            if not self._held:
                self._pool.free.append(self)
                self._pool.changed.notify()


class Pool:
    """All buffers of one pass."""

    def __init__(self, memory: int) -> None:
        self.changed = Condition()
        self.free: deque[Buffer] = deque()
        self._unmade = max(memory // CHUNK, 4)

    def take(self, limit: float) -> Buffer | None:
        """A buffer that the caller holds, None if none got free within `limit` seconds."""
        with self.changed:
            if not self.free and self._unmade:  # memory that a small image does not need is never asked for
                self._unmade -= 1
                self.free.append(Buffer(self))
            if not self.changed.wait_for(lambda: self.free, limit):
                return None
            buffer = self.free.popleft()
        buffer.hold()
        return buffer


def is_zero(view: memoryview) -> bool:
    """Whether there is nothing but zeros in it. Most data shows in its first bytes that it is data."""
    return view[:512] == ZEROS[: len(view[:512])] and view.tobytes() == ZEROS[: len(view)]
