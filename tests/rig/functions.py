"""What an emulated device does with the transfers that are not the bus's own: boot protocol, or network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from terrible.sim.wire import Stall, Wire

from . import rndis
from .gadget import Userland
from .usbredir import Setup

_VENDOR_OUT, _VENDOR_IN = 0x40, 0xC0
_CLASS_OUT, _CLASS_IN = 0x21, 0xA1
_ENCAPSULATED_COMMAND, _ENCAPSULATED_RESPONSE = 0, 1


class Function(Protocol):
    """Each transfer is awaited until the device is done with it; `Stall` refuses it."""

    async def control(self, setup: Setup) -> bytes:
        """A class or vendor request: the answer to an IN, nothing for an OUT."""

    async def bulk_out(self, endpoint: int, data: bytes) -> None: ...

    async def bulk_in(self, endpoint: int, length: int) -> bytes: ...

    async def interrupt(self, endpoint: int) -> bytes: ...

    def close(self) -> None:
        """The device has left the bus."""


class BootFunction:
    """A Pi that waits for its boot files: the vendor pipe of `terrible.sim.wire`."""

    def __init__(self, wire: Wire, pipe: int | None) -> None:
        self._wire = wire
        self._pipe = pipe

    async def control(self, setup: Setup) -> bytes:
        if (setup.requesttype, setup.request) == (_VENDOR_OUT, 0):
            await self._wire.host_out(setup.value, setup.index)
            return b""
        if (setup.requesttype, setup.request) == (_VENDOR_IN, 0):
            return await self._wire.host_in(setup.length)
        raise Stall

    async def bulk_out(self, endpoint: int, data: bytes) -> None:
        """Only one pipe leads to the boot code; a BCM2837's mass-storage interface takes nothing."""
        if endpoint != self._pipe:
            await _never()
        await self._wire.host_bulk(data)

    async def bulk_in(self, endpoint: int, length: int) -> bytes:
        return await _never()

    async def interrupt(self, endpoint: int) -> bytes:
        return await _never()

    def close(self) -> None:
        pass


class NetworkFunction:
    """The gadget of a running Pi: RNDIS. While the Pi is not awake, frames are lost in either direction."""

    def __init__(self, host_mac: bytes, userland: Userland, awake: Callable[[], bool]) -> None:
        self._rndis = rndis.Rndis(host_mac)
        self._userland = userland
        self._awake = awake
        self._notices: asyncio.Queue[bytes] = asyncio.Queue()

    async def control(self, setup: Setup) -> bytes:
        if (setup.requesttype, setup.request) == (_CLASS_OUT, _ENCAPSULATED_COMMAND):
            self._rndis.command(setup.data)
            self._notices.put_nowait(rndis.RESPONSE_AVAILABLE)
            return b""
        if (setup.requesttype, setup.request) == (_CLASS_IN, _ENCAPSULATED_RESPONSE):
            return self._rndis.response()
        raise Stall

    async def bulk_out(self, endpoint: int, data: bytes) -> None:
        for frame in rndis.unwrap(data):
            if self._awake():
                self._userland.receive(frame)

    async def bulk_in(self, endpoint: int, length: int) -> bytes:
        while True:
            frame = await self._userland.send()
            if self._awake():
                return rndis.wrap(frame)

    async def interrupt(self, endpoint: int) -> bytes:
        return await self._notices.get()

    def close(self) -> None:
        self._userland.close()


async def _never() -> bytes:
    """NAK for as long as the host cares to ask."""
    await asyncio.Event().wait()
    return b""
