"""Both ends of the vendor pipe between a host and one simulated USB device.

A Pi waiting to boot over USB understands three transfers (usbboot main.c:436-479): a vendor control
OUT that announces a length, a bulk OUT that carries bytes, a vendor control IN that fetches an
answer. A transport (the simulator's `Link`, or an emulator outside a virtual machine) calls the
`host_*` side; the model of the Pi awaits the other. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WireGone(Exception):
    """The device left the bus while a transfer was under way."""


class Stall(Exception):
    """The device refused the transfer (a STALL handshake, EPIPE on Linux)."""


def _fail(waiting: asyncio.Future[R], error: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(error)


class Wire:
    """One enumerated device. It lives from attach to detach; a new stage gets a new wire."""

    def __init__(self) -> None:
        self._gone = False
        self._refuse_bulk = False
        self._announced: deque[int] = deque()
        self._bulk: deque[tuple[bytes, asyncio.Future[None]]] = deque()
        self._reads: deque[tuple[int, asyncio.Future[bytes]]] = deque()
        self._work = asyncio.Event()

    @property
    def gone(self) -> bool:
        """Whether the device has left."""
        return self._gone

    # -- the host's end ---------------------------------------------------------------------

    async def host_out(self, value: int, index: int) -> None:
        """Vendor control OUT without data: announce `index << 16 | value` bytes."""
        self._raise_if_gone()
        self._announced.append(index << 16 | value)
        self._work.set()

    async def host_bulk(self, data: bytes) -> None:
        """Bulk OUT: returns when the device has taken all of it."""
        if self._refuse_bulk:
            raise Stall
        await self._queue(self._bulk, data)

    async def host_in(self, length: int) -> bytes:
        """Vendor control IN: waits, NAKed like the real thing, until the device answers."""
        return await self._queue(self._reads, length)

    # -- the device's end -------------------------------------------------------------------

    async def announced(self) -> int:
        """The next length the host announces."""
        while not self._announced:
            await self._wait()
        return self._announced.popleft()

    async def take(self, count: int) -> bytes:
        """Exactly `count` bytes of bulk data; what a transfer brings beyond that is lost."""
        got = bytearray()
        while len(got) < count:
            while not self._bulk:
                await self._wait()
            data, done = self._bulk.popleft()
            if done.done():  # the host cancelled it before it went over the bus
                continue
            got += data
            done.set_result(None)
        return bytes(got[:count])

    async def answer(self, data: bytes) -> None:
        """Answer the host's pending (or next) control IN, cut to what it asked for."""
        while True:
            while not self._reads:
                await self._wait()
            length, done = self._reads.popleft()
            if not done.done():  # else the host gave up on that read
                done.set_result(data[:length])
                return

    def refuse_bulk(self) -> None:
        """STALL every bulk transfer from now on."""
        self._refuse_bulk = True
        while self._bulk:
            _fail(self._bulk.popleft()[1], Stall())

    def close(self) -> None:
        """The device has left: whatever is under way fails."""
        self._gone = True
        while self._bulk:
            _fail(self._bulk.popleft()[1], WireGone())
        while self._reads:
            _fail(self._reads.popleft()[1], WireGone())
        self._work.set()

    # ---------------------------------------------------------------------------------------

    async def _queue(self, queue: deque[tuple[T, asyncio.Future[R]]], item: T) -> R:
        self._raise_if_gone()
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        queue.append((item, done))
        self._work.set()
        return await done

    async def _wait(self) -> None:
        self._raise_if_gone()
        self._work.clear()
        await self._work.wait()
        self._raise_if_gone()

    def _raise_if_gone(self) -> None:
        if self._gone:
            raise WireGone
