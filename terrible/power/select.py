"""Which switch a location has, why that one, and what a location without one says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terrible.errors import PowerError
from terrible.model import Location
from terrible.power.boards import gang
from terrible.power.client import PortHelper
from terrible.power.hub import Hub, HubClassPort, HubControl
from terrible.power.hubclass import HubDescriptor, Switching
from terrible.power.sysfs import SysfsPort
from terrible.power.topology import Topology, ports_of
from terrible.power.twin import Twins
from terrible.seams import HubPort

_WAYS = {"sysfs": "the kernel's disable attribute", "hub": "class requests"}
"""The backends chosen from, the best first, as people read of them."""
_LATEST = 0xFFFF_FFFF
"""Unix time up to which a date is believed; what a file holds may be anything."""


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


@dataclass(frozen=True, slots=True)
class _Socket:
    """What is switched as one with a location, and how one says so."""

    location: Location
    together: frozenset[Location]
    how: str


class BestPower:
    """The `Power` of this machine: `disable` where kernel and helper have it, else class requests, else none.

    Found out again whenever a hub came, left or was replaced, or a probe had another verdict. `only` forces
    `sysfs` or `hub`; `verdict` tells what the last probe of a location found out (`power.verdict`).
    """

    def __init__(
        self,
        topology: Topology,
        helper: PortHelper,
        control: HubControl,
        *,
        only: str | None = None,
        verdict: Callable[[Location], Mapping[str, Any] | None] = lambda _: None,
    ) -> None:
        if only not in (None, *_WAYS):
            raise ValueError(f"only is one of {', '.join(_WAYS)}, not {only}")
        self._topology, self._helper, self._control = topology, helper, control
        self._only, self._verdict = only, verdict
        self._twins = Twins(topology, self._hub)
        self._found: dict[Location, tuple[object, HubPort]] = {}

    async def port(self, location: Location) -> HubPort:
        """The best switch that works there."""
        seen = (self._topology.hubs(), self._verdict(location))
        known = self._found.get(location)
        if known is None or known[0] != seen:
            known = (seen, await self._find(location))
            if not isinstance(known[1], NoSwitch):
                self._found[location] = known
        return known[1]

    def _hub(self, name: str) -> Hub:
        return Hub(name, self._topology.superspeed(name), self._control)

    # -- the choice -------------------------------------------------------------------------------------

    async def _find(self, location: Location) -> HubPort:
        """Even `disable` needs the hub's word on what else it cuts."""
        try:
            descriptor = await self._hub(location.hub).descriptor()
        except PowerError as error:
            return NoSwitch(f"the power of {location} cannot be switched: {error}")
        if reason := _unable(location, descriptor):
            return NoSwitch(reason)
        socket = await self._socket(location, descriptor)
        against: list[str] = []
        for backend, way in _WAYS.items():
            if reason := await self._reason_against(backend, socket):
                against.append(f"not {way}: {reason}")
            else:
                return self._made(backend, socket, against)
        return NoSwitch(f"the power of {location} cannot be switched; {'; '.join(against)}")

    async def _reason_against(self, backend: str, socket: _Socket) -> str:
        """Why this backend is not taken, empty if it is."""
        if self._only not in (None, backend):
            return f"the configuration asks for {_WAYS[str(self._only)]}"
        if verdict := _verdict_against(backend, self._verdict(socket.location)):
            return verdict
        return await self._kernel_cannot(socket.together) if backend == "sysfs" else ""

    async def _kernel_cannot(self, together: frozenset[Location]) -> str:
        """Why kernel and helper do not work for all these ports, found out by reading."""
        for location in sorted(together):
            if not self._topology.has_disable(location):
                return f"this kernel has none for {location}, Linux 6.0 and later have"
            try:
                await self._helper.disabled(location)
            except PowerError as error:
                return str(error)
        return ""

    def _made(self, backend: str, socket: _Socket, against: list[str]) -> HubPort:
        topology, together = self._topology, socket.together
        if backend == "sysfs":
            why = f"{_WAYS[backend]} ({socket.how}), which tells every driver and keeps the port off"
            return SysfsPort(socket.location, together, self._helper, topology, why)
        why = "; ".join([f"{_WAYS[backend]} to hub {socket.location.hub} ({socket.how})", *against])
        return HubClassPort(socket.location, {at: self._hub(at.hub) for at in together}, topology, why)

    # -- what goes together -----------------------------------------------------------------------------

    async def _socket(self, location: Location, hub: HubDescriptor) -> _Socket:
        if (board := gang(self._topology, location.hub)) is not None:
            how = f"all USB ports of a {board.board} are switched together"
            return _Socket(location, board.ports, how)
        ganged = hub.switching is Switching.GANGED
        ports = ports_of(location.hub, hub.ports) if ganged else frozenset({location})
        twins = {twin for port in sorted(ports) if (twin := await self._twins.of(port)) is not None}
        how = f"ganged switching, all {hub.ports} ports together" if ganged else "per-port switching"
        if twins:
            how += f", with the other side of a USB 3 hub, {', '.join(sorted(twins))}"
        return _Socket(location, ports | twins, how)


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


def _verdict_against(backend: str, verdict: Mapping[str, Any] | None) -> str:
    """What a probe has to say against a backend, empty if nothing; another version may have kept less."""
    for each in (verdict, *(verdict or {}).get("others", ())):
        match each:
            case {"backend": str(tried), "works": False, "when": int(when), **rest} if tried == backend:
                said = str(rest.get("sentence") or "it does not work").rstrip(".")
                day = datetime.fromtimestamp(min(abs(when), _LATEST)).astimezone().date()
                return f"a probe on {day} showed that {said[:1].lower()}{said[1:]}"
    return ""
