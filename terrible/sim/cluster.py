"""A whole simulated cluster: a hub, its Pis, their power and their network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from terrible.model import Location, NetworkNews, Slot
from terrible.net import addresses
from terrible.seams import Device, HubPort
from terrible.sim.hub import SimBus
from terrible.sim.pi import Pi
from terrible.sim.port import SimPort


class SimCluster:
    """Pis by location, in ports that are switched one by one, or all together where `ganged`."""

    def __init__(self, pis: Mapping[Location, Pi | None], rate: float = 35e6, ganged: bool = False) -> None:
        self.bus = SimBus(rate)
        self.ports = {location: SimPort(self.bus, location, pi) for location, pi in pis.items()}
        for port in self.ports.values() if ganged else ():
            port.gang = list(self.ports.values())

    async def port(self, location: Location) -> HubPort:
        """The power switch of a location (seams.Power)."""
        return self.ports[location]

    def pi(self, location: Location) -> Pi:
        """The Pi at a location; KeyError where the port is empty."""
        pi = self.ports[location].pi
        if pi is None:
            raise KeyError(location)
        return pi

    async def reachable(self, slot: Slot, device: Device, passed: Callable[[str], None]) -> tuple[str, ...]:
        """The node answers as soon as its kernel is alive (seams.Network); an empty port never does."""
        await self._answering(slot, True)
        for step in ("carrier", "address", "ping"):
            passed(step)
        return (slot.address,) if slot.address else ()

    async def lost(self, slot: Slot) -> None:
        """Return when the node has hung."""
        await self._answering(slot, False)

    async def news(self) -> AsyncIterator[NetworkNews]:
        """The network of a simulated head is as it should be, always (seams.Network)."""
        subnet = addresses.SUBNETS[0]
        yield NetworkNews(subnet, "simulated", "simulated")
        await asyncio.Event().wait()

    async def _answering(self, slot: Slot, wanted: bool) -> None:
        pi = self.ports[slot.location].pi
        if pi is not None:
            await pi.answering(wanted)
        elif wanted:
            await asyncio.Event().wait()

    async def shut_down(self, slot: Slot) -> None:
        """A node that answers takes the order (seams.Shutdown); one that hangs does not."""
        await self._answering(slot, True)
        self.pi(slot.location).tell("poweroff")

    # -- what people and hubs do to all of it -------------------------------------------------------

    async def swap(self, one: Location, other: Location) -> None:
        """Somebody pulls two Pis out and puts each where the other was."""
        ports = self.ports[one], self.ports[other]
        for port in ports:
            await port.stop()
        ports[0].pi, ports[1].pi = ports[1].pi, ports[0].pi
        for port in ports:
            port.start()

    async def reset(self) -> None:
        """The hub is reset: every port drops and comes back."""
        for port in self.ports.values():
            await port.reset()

    async def replug(self, seconds: float) -> None:
        """The hub is pulled out with all that is on it; put back, the kernel powers every port."""
        for port in self.ports.values():
            await port.drop()
        await asyncio.sleep(seconds)
        for port in self.ports.values():
            await port.power(True)

    async def close(self) -> None:
        """Cut all power."""
        await asyncio.gather(*(port.stop() for port in self.ports.values()))


def hub_locations(hub: str, ports: int) -> Sequence[Location]:
    """The locations of a hub's ports, in order."""
    return [Location(f"{hub}.{port}") for port in range(1, ports + 1)]


def plugged(pis: Iterable[Pi], hub: str = "1-1") -> dict[Location, Pi | None]:
    """These Pis, one after the other, in the ports of one hub."""
    boards = list(pis)
    return dict(zip(hub_locations(hub, len(boards)), boards, strict=True))
