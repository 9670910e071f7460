"""A simulated bus at the seams of the agent: what is plugged in, and who hears of it.

Bytes take their time on one bus that all ports share, and what the agent's `Link` does reaches the model
of the Pi as real transfers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from terrible.errors import DeviceLeft
from terrible.model import Location, Stage
from terrible.seams import Device
from terrible.sim.faults import Cable, Hearing
from terrible.sim.link import SimLink
from terrible.sim.wire import Wire
from terrible.usb import identify
from terrible.usb.identify import Descriptors


class SimBus:
    """All ports of a simulated head, and the bandwidth they share (bytes a second)."""

    def __init__(self, rate: float = 35e6) -> None:
        self.hearing = Hearing()
        self._rate = rate
        self._air = asyncio.Lock()
        self._devices: dict[Location, SimDevice] = {}
        self._listeners: list[asyncio.Queue[Device]] = []

    async def arrivals(self) -> AsyncIterator[Device]:
        """What is there, then whatever comes."""
        queue: asyncio.Queue[Device] = asyncio.Queue()
        for device in self._devices.values():
            queue.put_nowait(device)
        self._listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    def present(self) -> Collection[Device]:
        """What is plugged in now, as far as anybody has heard."""
        return list(self._devices.values())

    def plug(self, location: Location, descriptors: Descriptors) -> SimDevice:
        """A device appears at this location."""
        device = SimDevice(self, location, descriptors)
        _after(self.hearing.arrival(), self._heard_arrival, device)
        return device

    def unplug(self, device: SimDevice) -> None:
        """This device leaves: its transfers fail at once, whenever the bus hears of it."""
        device.wire.close()
        _after(self.hearing.leaving(), self._heard_leaving, device)

    def _heard_arrival(self, device: SimDevice) -> None:
        """A new device ends the one that was there (`usb.bus`); one that is gone again is not told."""
        if device.wire.gone:
            return
        if (known := self._devices.get(device.location)) is not None:
            known.leave()
        self._devices[device.location] = device
        for queue in self._listeners:
            queue.put_nowait(device)

    def _heard_leaving(self, device: SimDevice) -> None:
        if self._devices.get(device.location) is device:
            del self._devices[device.location]
        device.leave()

    async def carry(self, count: int) -> None:
        """Take the time that so many bytes need, one transfer after the other."""
        async with self._air:
            await asyncio.sleep(count / self._rate)


def _after(seconds: float, heard: Callable[[SimDevice], None], device: SimDevice) -> None:
    """Now, or when the time has come."""
    if seconds > 0:
        asyncio.get_running_loop().call_later(seconds, heard, device)
    else:
        heard(device)


class SimDevice:
    """One simulated device from attach to detach."""

    def __init__(self, bus: SimBus, location: Location, descriptors: Descriptors) -> None:
        self.location, self.descriptors = location, descriptors
        self.stage: Stage = identify.stage(descriptors)
        self.wire = Wire()
        self.bus = bus
        self.cable = Cable()
        self._left = asyncio.Event()

    @property
    def gone(self) -> bool:
        """Whether it has left."""
        return self._left.is_set()

    async def left(self) -> None:
        """Return once it has left."""
        await self._left.wait()

    def leave(self) -> None:
        """It is gone, and every transfer with it."""
        self._left.set()
        self.wire.close()

    def vanish(self) -> None:
        """Leave the bus."""
        self.bus.unplug(self)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SimLink]:
        """Open it; a device that left cannot be opened."""
        if self.gone:
            raise DeviceLeft(f"the {self.stage.name} left before it could be opened")
        yield SimLink(self, self.bus)
