"""The memory that all USB transfers of all nodes share.

usbfs refuses to have more than `usbfs_memory_mb` (16 by default) in flight over all devices together;
about 15.8 MiB were measured. We take half, so that a card reader next door still works.
"""

from __future__ import annotations

import asyncio
from collections import deque

MEGABYTE = 1024 * 1024


class Budget:
    """Bytes in flight. Whoever must wait is served in the order of asking."""

    def __init__(self, total: int = 8 * MEGABYTE) -> None:
        self._free = total
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_take(self, size: int) -> bool:
        """Take so many bytes if that is possible now and nobody waits."""
        if self._queue or size > self._free:
            return False
        self._free -= size
        return True

    async def take(self, size: int) -> None:
        """Take so many bytes, waiting until it is our turn and they are free."""
        if self.try_take(size):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            self.give_back(size if turn.done() and not turn.cancelled() else 0)  # or whoever waits behind us
            raise

    def give_back(self, size: int) -> None:
        """These bytes are free again."""
        self._free += size
        while self._queue and (self._queue[0][1].done() or self._queue[0][0] <= self._free):
            wanted, turn = self._queue.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)
