"""One switchable port of the simulated hub, and the Pi in it."""

from __future__ import annotations

import asyncio

from terrible.errors import PowerError
from terrible.model import Location, Stage
from terrible.sim.faults import Cable
from terrible.sim.hub import SimBus, SimDevice
from terrible.sim.pi import Pi
from terrible.sim.wire import Wire
from terrible.usb.identify import Descriptors


class SimPort:
    """One switchable port with at most one Pi in it."""

    backend = "sim"
    why = "a simulated hub switches each port by itself"

    def __init__(self, bus: SimBus, location: Location, pi: Pi | None) -> None:
        self.location, self.pi = location, pi
        self.gang: list[SimPort] = [self]
        self.cable = Cable()
        self.cuts = 0
        self.lies = False
        self.bus = bus
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

    async def drop(self) -> None:
        """Its hub is gone: no power, and nobody's decision."""
        self._on = False
        await self.stop()

    @property
    def lit(self) -> bool:
        """Whether it has 5 V."""
        return self._on

    @property
    def shown(self) -> Stage | None:
        """What really is on it now, whoever has heard of it."""
        return None if self._device is None or self._device.wire.gone else self._device.stage

    # -- what people do to the Pi in it -----------------------------------------------------------

    def start(self) -> None:
        """The Pi in the port, if any, gets power."""
        if self.pi is not None and self._on and self._life is None:
            self.cable.messages = 0
            self._life = asyncio.create_task(self.pi.power_on(self), name=f"Pi at {self.location}")

    async def stop(self) -> None:
        """The Pi in the port loses power: its own, or because it is pulled out."""
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
            await asyncio.wait({life})
        self.detach()

    async def reset(self) -> None:
        """The hub was reset, its power stayed: a node that runs is enumerated anew, a boot starts over."""
        if self.pi is not None and self.pi.running:
            self.detach()
            self.attach(self.pi.becomes)
        elif self._life is not None:
            await self.stop()
            self.start()

    # -- Plug -------------------------------------------------------------------------------------

    def attach(self, descriptors: Descriptors) -> Wire:
        """The Pi appears on the bus."""
        self._device = self.bus.plug(self.location, descriptors)
        self._device.cable = self.cable
        return self._device.wire

    def detach(self) -> None:
        """The Pi leaves the bus."""
        device, self._device = self._device, None
        if device is not None:
            self.bus.unplug(device)
