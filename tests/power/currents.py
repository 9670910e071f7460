"""A watch over two ports, and a kernel that speaks to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from terrible.model import Location
from terrible.power.overcurrent import Overcurrents
from terrible.power.topology import Topology

from .clock import run
from .fakehub import FakeHub
from .tree import Tree

HERE, THERE = Location("1-1.2"), Location("1-1.3")
OVER = 0x0108
NULL = Path("/sys/devices/virtual/mem/null/uevent")


def event(port: str = "1-1:1.0/1-1-port2", count: str = "1", action: str = "change") -> bytes:
    path = "/devices/pci0000:00/0000:00:01.0/usb1/1-1/1-1:1.0"
    told = [
        f"{action}@{path}",
        f"ACTION={action}",
        f"DEVPATH={path}",
        "SUBSYSTEM=usb",
        f"OVER_CURRENT_PORT=/devices/pci0000:00/0000:00:01.0/usb1/1-1/{port}",
        f"OVER_CURRENT_COUNT={count}",
        "SEQNUM=4711",
    ]
    return "\0".join(told).encode() + b"\0"


class Ear:
    """The alarms so far, at which second each came."""

    def __init__(self) -> None:
        self.heard: list[tuple[Location, float]] = []

    @property
    def where(self) -> list[Location]:
        return [location for location, _ in self.heard]

    async def listen(self, alarms: AsyncIterator[Location]) -> None:
        async for location in alarms:
            self.heard.append((location, asyncio.get_running_loop().time()))


@asynccontextmanager
async def watching(tree: Tree, hub: FakeHub | None = None) -> AsyncIterator[tuple[Overcurrents, Ear]]:
    """A watch over two slots, its first look taken."""
    watch = Overcurrents(Topology(tree.root), hub or FakeHub(), [HERE, THERE])
    ear = Ear()
    listening = asyncio.create_task(ear.listen(watch.watch()))
    await asyncio.sleep(1)
    try:
        yield watch, ear
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


def story(
    tree: Tree, telling: Callable[[Overcurrents, Ear], Awaitable[None]], hub: FakeHub | None = None
) -> None:
    async def whole() -> None:
        async with watching(tree, hub) as (watch, ear):
            await telling(watch, ear)

    run(whole())


def kernel_says(watch: Overcurrents, *messages: bytes, sender: int = 0) -> None:
    """What the socket would hand over; only the kernel itself can send with 0."""

    class Socket(socket.socket):
        def recvfrom(self, *_: object) -> tuple[bytes, tuple[int, int]]:
            if not waiting:
                raise BlockingIOError
            return waiting.pop(0), (sender, 1)

    waiting = list(messages)
    with Socket() as kernel:
        watch._hear(kernel)
