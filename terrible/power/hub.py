"""Ports switched by hub class requests: what works on every kernel, with two weaknesses.

The kernel's hub driver is not told. If the hub itself tells it, it switches the port on again as it drops
the dead device (hub.c: hub_port_connect), which took 1 to 10 s (uhubctl issues 90, 93, 96, 180, 203); if
not, it keeps that device listed until something new arrives there. So off is verified by the port's own
status bits, and watched for as long as the kernel has something to drop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from terrible.errors import BootError, HostError, PowerError
from terrible.model import Location
from terrible.power import container, hubclass
from terrible.power.hubclass import BadAnswer, ClassRequest, HubDescriptor, PortStatus
from terrible.power.together import naming
from terrible.power.topology import Topology

CONTROL = 5.0
"""Seconds for a control transfer to a hub (uhubctl's limit)."""
SETTLE = 1.0
"""Seconds for the status bits to follow a request."""
WATCH = 2.0
"""Seconds that a port must stay off once the kernel lists nothing there."""
LINGER = 8.0
"""Seconds more that it is watched while the kernel still lists a device, which it may yet drop."""
STEP = 0.1
"""Seconds between two looks at the status: a hub tells only its driver of changes."""
TRIES = 4
"""As often as the cluster's builder had uhubctl repeat it (`-r 4`)."""


class HubControl(Protocol):
    """What is asked of the USB side: control transfers to hubs that the kernel's driver keeps."""

    async def hub_control(
        self,
        hub: str,
        request_type: int,
        request: int,
        value: int,
        index: int,
        data_or_length: bytes | int,
        limit: float,
    ) -> bytes:
        """Transfer to the hub of that kernel name; BootError if it fails, HostError without permission."""


class Hub:
    """A hub that is asked directly; PowerError for everything that can go wrong with that."""

    def __init__(self, name: str, superspeed: bool, control: HubControl) -> None:
        self.name = name
        self._superspeed = superspeed
        self._control = control

    async def descriptor(self) -> HubDescriptor:
        """How many ports it has and how it switches them."""
        answer = await self._ask(hubclass.get_hub_descriptor(self._superspeed))
        try:
            return hubclass.hub_descriptor(answer, self._superspeed)
        except BadAnswer as error:
            raise PowerError(f"hub {self.name}: {error}") from error

    async def container_id(self) -> bytes | None:
        """What names the physical hub, the same on both its sides; None where it tells none."""
        try:
            total = container.total_length(await self._ask(container.get_bos(container.HEADER)))
            return container.container_id(await self._ask(container.get_bos(total)))
        except BadAnswer as error:
            raise PowerError(f"hub {self.name}: {error}") from error

    async def status(self, port: int) -> PortStatus:
        """What it says of a port now."""
        answer = await self._ask(hubclass.get_port_status(port))
        try:
            return hubclass.port_status(answer, self._superspeed)
        except BadAnswer as error:
            raise PowerError(f"hub {self.name}, port {port}: {error}") from error

    async def set_power(self, port: int, on: bool) -> None:
        """Ask for a port to be on or off; whether it is, only its status tells."""
        await self._ask(hubclass.set_port_power(port, on))

    async def _ask(self, request: ClassRequest) -> bytes:
        setup = (request.request_type, request.request, request.value, request.index)
        try:
            return await self._control.hub_control(self.name, *setup, request.length or b"", CONTROL)
        except (BootError, HostError) as error:
            raise PowerError(f"hub {self.name}: {error}") from error


class HubClassPort:
    """The switch of one location; `hubs` has all that is switched with it, itself too, and its hub."""

    backend = "hub"

    def __init__(
        self, location: Location, hubs: Mapping[Location, Hub], topology: Topology, why: str
    ) -> None:
        self.why = why
        self._location = location
        self._hubs = dict(sorted(hubs.items()))
        self._topology = topology

    def affects(self) -> frozenset[Location]:
        """Every location that loses power with this one."""
        return frozenset(self._hubs)

    async def switch(self, on: bool) -> None:
        """Switch and verify. A gang loses power with its last port, so all of it goes (USB 2.0, 11.11.1)."""
        if on:
            await self._set_all(on=True)
            if dark := await self._unlike(on=True):
                raise PowerError(f"{dark[0]} still reports no power {SETTLE:.0f} s after it was switched on")
        else:
            await self._off()

    async def powered(self) -> bool | None:
        """What the hub says, None where it does not answer."""
        try:
            return (await self._status(self._location)).powered
        except PowerError:
            return None

    async def _off(self) -> None:
        for _ in range(TRIES):
            await self._set_all(on=False)
            if lit := await self._unlike(on=False):
                raise PowerError(await self._seen(lit[0]))
            if await self._stays_off():
                return
        raise PowerError(
            f"{self._location} was switched off {TRIES} times and each time re-powered by the kernel; "
            "Linux 6.0 or later with terrible-port can keep it off"
        )

    async def _set_all(self, on: bool) -> None:
        for location, hub in self._hubs.items():
            with naming(location, self._location):
                await hub.set_power(location.port, on)

    async def _unlike(self, on: bool) -> list[Location]:
        """The locations that are not as wished once they had the time to be."""
        for _ in range(round(SETTLE / STEP)):
            if not (wrong := await self._look(on)):
                break
            await asyncio.sleep(STEP)
        return wrong

    async def _look(self, on: bool) -> list[Location]:
        """The locations that are not as wished now; one that is off shows no connection either."""
        seen = {location: await self._status(location) for location in self._hubs}
        return [at for at, port in seen.items() if not (port.powered if on else _is_off(port))]

    async def _stays_off(self) -> bool:
        """Whether nobody switches it on again, for as long as the kernel has reason to."""
        lingering, watching = round(LINGER / STEP), round(WATCH / STEP)
        while watching:
            await asyncio.sleep(STEP)
            if await self._look(on=False):
                return False
            if lingering and self._listed():
                lingering -= 1
            else:
                watching -= 1
        return True

    def _listed(self) -> bool:
        return any(self._topology.devnum(location) is not None for location in self._hubs)

    async def _status(self, location: Location) -> PortStatus:
        with naming(location, self._location):
            return await self._hubs[location].status(location.port)

    async def _seen(self, location: Location) -> str:
        port = await self._status(location)
        what = "power" if port.powered else "no power, but a connected device,"
        return f"{location} still reports {what} {SETTLE:.0f} s after it was switched off"


def _is_off(port: PortStatus) -> bool:
    return not port.powered and not port.connected
