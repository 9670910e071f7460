"""The two sides of a USB 3 socket: its power goes only when both its ports are off.

The kernel knows which ports share a socket where the controller or the firmware says so, and tells it as
`peer`. What it takes from port numbers can be wrong: the USB 2 sockets of a Pi 4 are behind one root port,
which it pairs with the first USB 3 one. So a hub's container id, which both its sides carry (USB 3.2,
9.6.2.3), has the last word; port n of the one side is then port n of the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from terrible.errors import PowerError
from terrible.model import Location
from terrible.power.container import FIRST_VERSION
from terrible.power.hub import Hub
from terrible.power.topology import Topology, port_of

log = logging.getLogger(__name__)


class Twins:
    """Finds the other side of ports; `hub` makes what asks the hub of that name."""

    def __init__(self, topology: Topology, hub: Callable[[str], Hub]) -> None:
        self._topology, self._hub = topology, hub

    async def of(self, location: Location) -> Location | None:
        """The port of the other speed in the same socket; None where there is none, or nobody can tell."""
        own = await self._container(location.hub)
        peer = self._topology.peer(location)
        if peer is not None and _agree(own, await self._container(peer.hub)):
            return peer
        other = await self._other_side(location.hub, own) if own else None
        return port_of(other, location.port) if other and self._has(other, location.port) else None

    async def _other_side(self, hub: str, container: bytes) -> str | None:
        """The one hub of the other speed with this id on the same controller.

        Some makers give all their hubs one id. Two such hubs cannot be told apart, and none is taken.
        """
        controller, fast = self._topology.controller(hub), self._topology.superspeed(hub)
        found = [
            name
            for name in self._topology.hubs()
            if self._topology.superspeed(name) is not fast
            and self._topology.controller(name) == controller
            and await self._container(name) == container
        ]
        if len(found) > 1:
            log.warning("%s has no other side: it shares its container id with %s", hub, ", ".join(found))
        return found[0] if len(found) == 1 else None

    async def _container(self, hub: str) -> bytes | None:
        """The id of a hub; root hubs are the kernel's own and have none."""
        if hub.startswith("usb") or self._topology.version(hub) < FIRST_VERSION:
            return None
        try:
            return await self._hub(hub).container_id()
        except PowerError as error:
            log.info("no container id: %s", error)
            return None

    def _has(self, hub: str, port: int) -> bool:
        """Some USB 3 hubs have sockets for USB 2 only."""
        return port <= self._topology.ports(hub)


def _agree(one: bytes | None, other: bytes | None) -> bool:
    return one is None or other is None or one == other
