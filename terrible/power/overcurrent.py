"""Ports that drew too much: the hub switches such a port off by itself, and a kernel may switch it on again.

Linux counts it per port (`over_current_count`, 4.17) and tells it as an event of the hub (4.20; hub.c:
port_over_current_notify). An event can be missed, so the counts are read now and then too. An older kernel
only logs it: there the port's own status is read, which shows it for as long as it lasts.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager

from terrible.errors import PowerError
from terrible.model import Location
from terrible.power.hub import Hub, HubControl
from terrible.power.topology import Topology, named_port

log = logging.getLogger(__name__)

POLL = 10.0
"""Seconds between two looks at counts and states."""
_NETLINK_KOBJECT_UEVENT = 15
_KERNEL = 1
"""The multicast group of the kernel's own events (lib/kobject_uevent.c); udev's are in group 2."""
_LONGEST = 8192
"""Bytes of an event; the kernel's have at most 2048 besides their path (kobject.h: UEVENT_BUFFER_SIZE)."""
_BATCH = 64
"""Events read at once, so that a storm of them holds nobody up."""


class Overcurrents:
    """Watches the ports of slots, on both sides of their sockets."""

    def __init__(self, topology: Topology, control: HubControl, locations: Collection[Location]) -> None:
        self._topology, self._control, self._locations = topology, control, locations
        self._counts: dict[Location, int] = {}
        self._over: set[Location] = set()
        self._alarms: asyncio.Queue[Location] = asyncio.Queue()

    async def watch(self) -> AsyncIterator[Location]:
        """Each of the locations that drew too much, each time it did from now on; for ever."""
        self._counts = self._read_counts()
        loop = asyncio.get_running_loop()
        with self._listening():
            look = loop.time()
            while True:
                try:
                    async with asyncio.timeout_at(look):
                        location = await self._alarms.get()
                except TimeoutError:
                    await self._look()
                    look = loop.time() + POLL
                else:
                    yield location

    # -- events -----------------------------------------------------------------------------------------

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear the kernel, as any user may; where a sandbox forbids it, reading the counts has to do."""
        try:
            kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_KOBJECT_UEVENT)
            kernel.bind((0, _KERNEL))
        except OSError as error:
            log.info("over-current is seen up to %g s late, for the kernel is not heard: %s", POLL, error)
            yield
            return
        loop = asyncio.get_running_loop()
        with kernel:
            kernel.setblocking(False)
            loop.add_reader(kernel, self._hear, kernel)
            try:
                yield
            finally:
                loop.remove_reader(kernel)

    def _hear(self, kernel: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                message, (sender, _) = kernel.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError as error:  # ENOBUFS: there were more than the socket can hold
                log.debug("events of the kernel were lost: %s", error)
                continue
            told = reported(message) if sender == 0 else None  # anybody may send to us; 0 is the kernel
            if told is not None and told[0] in (sockets := self._sockets()):
                self._count(told[0], told[1], sockets[told[0]])

    # -- looking ----------------------------------------------------------------------------------------

    async def _look(self) -> None:
        sockets, counts = self._sockets(), self._read_counts()
        for port in self._counts.keys() - counts.keys():
            del self._counts[port]  # its hub is gone, and counts from 0 when it comes back
        for port, count in counts.items():
            self._count(port, count, sockets[port])
        for location in self._locations:
            if location not in counts and self._topology.ports(location.hub):
                await self._look_at_status(location)

    async def _look_at_status(self, location: Location) -> None:
        hub = Hub(location.hub, self._topology.superspeed(location.hub), self._control)
        try:
            over = (await hub.status(location.port)).over_current
        except PowerError as error:
            log.debug("whether %s draws too much cannot be seen: %s", location, error)
            return
        if over and location not in self._over:
            self._alarms.put_nowait(location)
        (self._over.add if over else self._over.discard)(location)

    def _read_counts(self) -> dict[Location, int]:
        found = {port: self._topology.overcurrents(port) for port in self._sockets()}
        return {port: count for port, count in found.items() if count is not None}

    def _sockets(self) -> dict[Location, Location]:
        """The ports that are watched, and whose location they stand for: either side may tell."""
        own = {location: location for location in self._locations}
        peers = {location: self._topology.peer(location) for location in self._locations}
        return {peer: location for location, peer in peers.items() if peer is not None} | own

    def _count(self, port: Location, count: int, location: Location) -> None:
        """One alarm, however far the count has risen; one that fell is that of another hub, from 0."""
        if count not in (0, self._counts.get(port, 0)):
            self._alarms.put_nowait(location)
        self._counts[port] = count


def reported(message: bytes) -> tuple[Location, int] | None:
    """The port that an event of the kernel is about and its new count; None if it is about anything else."""
    told = dict(line.partition("=")[::2] for line in message.decode(errors="replace").split("\0"))
    port = named_port(told.get("OVER_CURRENT_PORT", "").rpartition("/")[2])
    count = told.get("OVER_CURRENT_COUNT", "")
    if port is None or told.get("ACTION") != "change" or not (count.isascii() and count.isdigit()):
        return None
    return port, int(count)
