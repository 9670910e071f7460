"""The host's end of a simulated wire (`seams.Link`): limits, and a cable that may break any message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from terrible.errors import BootError, DeviceLeft, Silent
from terrible.model import Stage
from terrible.sim.faults import Cable, Error
from terrible.sim.wire import Stall, Wire, WireGone

CHUNK = 65536


class Bus(Protocol):
    """What a link needs of the bus."""

    async def carry(self, count: int) -> None:
        """Take the time that so many bytes need."""


class Attached(Protocol):
    """What a link needs of its device."""

    wire: Wire
    cable: Cable
    stage: Stage

    async def left(self) -> None:
        """Return once it has left."""

    def vanish(self) -> None:
        """Leave the bus."""


class SimLink:
    """An open simulated device."""

    def __init__(self, device: Attached, bus: Bus) -> None:
        self._device, self._wire, self._bus = device, device.wire, bus

    async def control_out(self, value: int, index: int, limit: float) -> None:
        """Announce."""
        with _translated(self._device.stage):
            await self._passes(limit, BootError)
            await self._wire.host_out(value, index)

    async def control_in(self, length: int, limit: float) -> bytes:
        """Fetch."""
        with _translated(self._device.stage):
            await self._passes(limit, Silent)
            try:
                async with asyncio.timeout(limit):
                    return await self._wire.host_in(length)
            except TimeoutError:
                raise Silent(f"no answer in {limit:g} s") from None

    async def bulk_out(self, data: bytes | bytearray, stall: float, sent: Callable[[int], None]) -> None:
        """Send piece by piece; each waits for the bus and for the Pi to take it."""
        with _translated(self._device.stage):
            for start in range(0, len(data), CHUNK):
                piece = bytes(data[start : start + CHUNK])
                await self._bus.carry(len(piece))
                await self._passes(stall, BootError)
                try:
                    async with asyncio.timeout(stall):
                        await self._wire.host_bulk(piece)
                except TimeoutError:
                    raise BootError(f"nothing moved for {stall:g} s") from None
                sent(len(piece))

    async def _passes(self, limit: float, silence: type[BootError]) -> None:
        """Return if the cable lets this message through; a device that vanishes stays away."""
        match self._device.cable.passes():
            case None:
                return
            case Error.TIMEOUT:
                with suppress(TimeoutError):
                    async with asyncio.timeout(limit):
                        await self._device.left()
                        raise WireGone
                raise silence(f"no answer in {limit:g} s")
            case Error.GONE:
                self._device.vanish()
                raise WireGone
            case error:
                raise BootError(f"a transfer to the {self._device.stage.name} failed: {error}")


@contextmanager
def _translated(stage: Stage) -> Iterator[None]:
    """The wire's errors in the agent's words."""
    try:
        yield
    except WireGone:
        raise DeviceLeft(f"the {stage.name} left") from None
    except Stall:
        raise BootError(f"the {stage.name} stalled a transfer") from None
