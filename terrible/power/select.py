"""Which switch a location has, and what a location without one says."""

from __future__ import annotations

import logging

from terrible.model import Location, PowerError
from terrible.power.client import PortHelper
from terrible.power.hub import Hub, HubClassPort, HubControl
from terrible.power.hubclass import HubDescriptor, Switching
from terrible.power.sysfs import SysfsPort
from terrible.power.topology import Topology, ports_of
from terrible.seams import HubPort

log = logging.getLogger(__name__)


class NoSwitch:
    """A location whose power nobody can switch; `reason` is one sentence with the remedy."""

    backend = "none"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @property
    def why(self) -> str:
        """What stands in the way."""
        return self._reason

    def affects(self) -> frozenset[Location]:
        """Nothing: it never loses power by us."""
        return frozenset()

    async def switch(self, on: bool) -> None:
        """It is on as it is; off is a PowerError."""
        if not on:
            raise PowerError(self._reason)

    async def powered(self) -> bool | None:
        """Nobody can tell."""
        return None


class BestPower:
    """The `Power` of this machine: `disable` where kernel and helper have it, else class requests, else none.

    Asked afresh each time, for a hub may have been replaced.
    """

    def __init__(self, topology: Topology, helper: PortHelper, control: HubControl) -> None:
        self._topology = topology
        self._helper = helper
        self._control = control
        self._found: dict[Location, tuple[int | None, HubPort]] = {}

    async def port(self, location: Location) -> HubPort:
        """The best switch that works there."""
        address = self._topology.address(location.hub)
        known = self._found.get(location)
        if known is None or known[0] != address:
            known = (address, await self._find(location))
            if not isinstance(known[1], NoSwitch):
                self._found[location] = known
        return known[1]

    async def _find(self, location: Location) -> HubPort:
        """Even `disable` needs the hub's word on what else it cuts."""
        hub = Hub(location.hub, self._topology.superspeed(location.hub), self._control)
        try:
            descriptor = await hub.descriptor()
        except PowerError as error:
            return NoSwitch(f"the power of {location} cannot be switched: {error}")
        if reason := _unable(location, descriptor):
            return NoSwitch(reason)
        together = _together(location, descriptor)
        if await self._kernel_disables(together):
            return SysfsPort(location, together, self._helper, self._topology)
        return HubClassPort(location, together, hub)

    async def _kernel_disables(self, together: frozenset[Location]) -> bool:
        """Whether kernel and helper work for all these ports, found out by reading."""
        try:
            for location in sorted(together):
                if not self._topology.has_disable(location):
                    return False
                await self._helper.disabled(location)
        except PowerError as error:
            log.info("ports are switched by class requests, not by the kernel: %s", error)
            return False
        return True


def _unable(location: Location, hub: HubDescriptor) -> str:
    """Why a hub cannot switch a port, empty if it can."""
    if location.port > hub.ports:
        return (
            f"hub {location.hub} has {hub.ports} ports, so there is no {location}; correct the configuration"
        )
    if hub.switching is Switching.NONE:
        return (
            f"hub {location.hub} says that it cannot switch the power of its ports; "
            f"unplug {location} by hand, or use a hub with per-port power switching"
        )
    return ""


def _together(location: Location, hub: HubDescriptor) -> frozenset[Location]:
    """What loses power with a location, as far as the hub tells."""
    ganged = hub.switching is Switching.GANGED
    return ports_of(location.hub, hub.ports) if ganged else frozenset({location})
