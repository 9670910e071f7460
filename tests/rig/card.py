"""The medium in a Pi's slot. It outlives power cuts, and a test can wait for one of its bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

SECTOR = 512


def _unlinked() -> int:
    with tempfile.TemporaryFile(prefix="rig-card-") as file:
        return os.dup(file.fileno())


@dataclass
class Card:
    """`refuses` is asked of every transfer: write or not, first byte. `written` is what the host has."""

    size: int
    refuses: Callable[[bool, int], bool] = lambda write, offset: False
    written: int = 0
    _file: int = field(default_factory=_unlinked)
    _left: int = 0
    _then: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        os.ftruncate(self._file, self.size)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        os.pwrite(self._file, data, offset)

    def wipe(self) -> None:
        """As from the shop: zeros."""
        os.ftruncate(self._file, 0)
        os.ftruncate(self._file, self.size)
        self.written = 0

    def close(self) -> None:
        os.close(self._file)

    def after(self, count: int, then: Callable[[], Awaitable[None]]) -> None:
        """Await `then` once so many bytes have passed, either way, counted from the next write on."""
        self._left, self._then, self.written = count, then, 0

    # -- the host's end ------------------------------------------------------------------------------
    async def take(self, offset: int, data: bytes) -> None:
        """Keep it; at that moment whole sectors of what has come of it, and the rest when it is over."""
        before = self._passes(len(data))
        self._keep(offset, data[:before])
        if before < len(data):
            await self._moment()
            self._keep(offset + before, data[before:])

    async def give(self, offset: int, length: int) -> bytes:
        if self.written and self._passes(length) < length:
            await self._moment()
        return self.read(offset, length)

    def _keep(self, offset: int, data: bytes) -> None:
        self.written += len(data)
        self.write(offset, data)

    def _passes(self, length: int) -> int:
        """How much of this comes before the moment: all of it if that is not now."""
        if self._then is None:
            return length
        count = min(self._left, length)
        self._left -= count
        return count - count % SECTOR

    async def _moment(self) -> None:
        then, self._then = self._then, None
        assert then is not None
        await then()
