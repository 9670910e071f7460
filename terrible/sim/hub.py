"""A simulated hub of Pis at the seams of the agent: bus, devices, links and port power.

Power makes a Pi appear, bytes take their time on one shared bus, and what the agent's `Link` does
reaches the model of the Pi as real transfers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager

from terrible.model import BootError, DeviceLeft, Location, PowerError, Silent, Stage
from terrible.seams import Device
from terrible.sim.pi import Pi
from terrible.sim.wire import Stall, Wire, WireGone
from terrible.usb import identify
from terrible.usb.identify import Descriptors

CHUNK = 65536


class SimBus:
    """All ports of a simulated head, and the bandwidth they share (bytes a second)."""

    def __init__(self, rate: float = 35e6) -> None:
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
        """What is plugged in now."""
        return list(self._devices.values())

    def plug(self, location: Location, descriptors: Descriptors) -> SimDevice:
        """A device appears at this location."""
        device = self._devices[location] = SimDevice(self, location, descriptors)
        for queue in self._listeners:
            queue.put_nowait(device)
        return device

    def unplug(self, device: SimDevice) -> None:
        """This device leaves."""
        if self._devices.get(device.location) is device:
            del self._devices[device.location]
        device.leave()

    async def carry(self, count: int) -> None:
        """Take the time that so many bytes need, one transfer after the other."""
        async with self._air:
            await asyncio.sleep(count / self._rate)


class SimDevice:
    """One simulated device from attach to detach."""

    def __init__(self, bus: SimBus, location: Location, descriptors: Descriptors) -> None:
        self.location, self.descriptors = location, descriptors
        self.stage: Stage = identify.stage(descriptors)
        self.wire = Wire()
        self.bus = bus
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

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SimLink]:
        """Open it; a device that left cannot be opened."""
        if self.gone:
            raise DeviceLeft(f"the {self.stage.name} left before it could be opened")
        yield SimLink(self)


class SimLink:
    """The host's end of a wire, with its time limits."""

    def __init__(self, device: SimDevice) -> None:
        self._device, self._wire = device, device.wire

    async def control_out(self, value: int, index: int, limit: float) -> None:
        """Announce."""
        with _translated(self._device):
            await self._wire.host_out(value, index)

    async def control_in(self, length: int, limit: float) -> bytes:
        """Fetch."""
        with _translated(self._device):
            try:
                async with asyncio.timeout(limit):
                    return await self._wire.host_in(length)
            except TimeoutError:
                raise Silent(f"no answer in {limit:g} s") from None

    async def bulk_out(self, data: bytes | bytearray, stall: float, sent: Callable[[int], None]) -> None:
        """Send piece by piece; each waits for the bus and for the Pi to take it."""
        with _translated(self._device):
            for start in range(0, len(data), CHUNK):
                piece = bytes(data[start : start + CHUNK])
                await self._device.bus.carry(len(piece))
                try:
                    async with asyncio.timeout(stall):
                        await self._wire.host_bulk(piece)
                except TimeoutError:
                    raise BootError(f"nothing moved for {stall:g} s") from None
                sent(len(piece))


@contextmanager
def _translated(device: SimDevice) -> Iterator[None]:
    """The wire's errors in the agent's words."""
    try:
        yield
    except WireGone:
        raise DeviceLeft(f"the {device.stage.name} left") from None
    except Stall:
        raise BootError(f"the {device.stage.name} stalled a transfer") from None


class SimPort:
    """One switchable port with at most one Pi in it."""

    backend = "sim"
    why = "a simulated hub switches each port by itself"

    def __init__(self, bus: SimBus, location: Location, pi: Pi | None) -> None:
        self.location, self.pi = location, pi
        self.gang: list[SimPort] = [self]
        self.cuts = 0
        self.lies = False
        self._bus = bus
        self._device: SimDevice | None = None
        self._life: asyncio.Task[None] | None = None
        self._on = False

    # -- HubPort --------------------------------------------------------------------------------

    def affects(self) -> frozenset[Location]:
        """Its gang, or only itself."""
        return frozenset(port.location for port in self.gang)

    async def switch(self, on: bool) -> None:
        """Power the Pi, or cut it."""
        if self.lies and not on:
            raise PowerError(f"{self.location} says it is off, but its device is still there")
        for port in self.gang:
            await port.power(on)

    async def powered(self) -> bool | None:
        """Whether it has power."""
        return self._on

    async def power(self, on: bool) -> None:
        """The 5 V of this port alone."""
        if on and not self._on:
            self._on = True
            self.start()
        elif self._on and not on:
            self._on = False
            self.cuts += 1
            await self.stop()

    # -- what people do to the Pi in it -----------------------------------------------------------

    def start(self) -> None:
        """The Pi in the port, if any, gets power."""
        if self.pi is not None and self._on and self._life is None:
            self._life = asyncio.create_task(self.pi.power_on(self), name=f"Pi at {self.location}")

    async def stop(self) -> None:
        """The Pi in the port loses power: its own, or because it is pulled out."""
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
            await asyncio.wait({life})
        self.detach()

    # -- Plug -------------------------------------------------------------------------------------

    def attach(self, descriptors: Descriptors) -> Wire:
        """The Pi appears on the bus."""
        self._device = self._bus.plug(self.location, descriptors)
        return self._device.wire

    def detach(self) -> None:
        """The Pi leaves the bus."""
        device, self._device = self._device, None
        if device is not None:
            self._bus.unplug(device)
