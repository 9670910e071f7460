"""A node as its Linux would be: behind the emulated gadget run the real `udhcpc` of busybox and a server.

They live in one namespace, from the arrival of the gadget to the power cut.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from terrible.net import addresses

from .gadget import CLUSTER
from .hub import EmulatedHub
from .namespace import Namespace, Tap, namespace

_PROGRAMS = Path(__file__).resolve().parent / "userland"
_SERVER = (sys.executable, "-I", str(_PROGRAMS / "digest.py"))
_DHCP = ("busybox", "udhcpc", "-f", "-i", "usb0", "-s", str(_PROGRAMS / "lease"), "-t", "99", "-T", "1")
"""Asks every second until it is answered; its defaults are three times, then a pause of 20 s."""


class Node:
    """One boot's userland."""

    def __init__(self, mac: str) -> None:
        self.said: list[str] = []
        """Every line of its DHCP client, and of its lease script."""
        self._heard = asyncio.Condition()
        self._tap: asyncio.Future[Tap] = asyncio.get_running_loop().create_future()
        self.life = asyncio.create_task(self._live(mac))

    @property
    def lease(self) -> dict[str, str]:
        """What it has been given: `ip`, `mask`, `router`, `dns`, `domain`, `hostname`, `mtu`."""
        bound = [line for line in self.said if line.startswith(("bound ", "renew "))]
        return dict(word.split("=", 1) for word in bound[-1].split()[1:] if "=" in word) if bound else {}

    async def bound(self, limit: float = 30) -> dict[str, str]:
        """Its lease, once it has one."""
        try:
            async with asyncio.timeout(limit), self._heard:
                await self._heard.wait_for(lambda: self.lease or self.life.done())
        except TimeoutError:
            raise AssertionError(f"no lease in {limit} s, but {self.said}") from None
        return self.lease

    async def run(self, *argv: str) -> str:
        """A command on the node."""
        return await self._namespace.run(*argv)

    # -- behind the gadget -------------------------------------------------------------------------
    def receive(self, frame: bytes) -> None:
        if self._tap.done():
            self._tap.result().write(frame)

    async def send(self) -> bytes:
        return await (await asyncio.shield(self._tap)).read()

    def close(self) -> None:
        self.life.cancel()

    async def _live(self, mac: str) -> None:
        async with AsyncExitStack() as stack:
            self._namespace: Namespace = await stack.enter_async_context(namespace())
            self._tap.set_result(await stack.enter_async_context(self._namespace.tap("usb0", mac)))
            await self._namespace.serve(*_SERVER)
            async for line in self._namespace.lines(*_DHCP):
                self.said.append(line)
                async with self._heard:
                    self._heard.notify_all()
            raise RuntimeError(f"the DHCP client has ended: {self.said}")


@asynccontextmanager
async def nodes(hub: EmulatedHub, *ports: int) -> AsyncIterator[Mapping[int, list[Node]]]:
    """A userland behind the gadget of each of these ports: its boots so far, the running one last."""
    boots: dict[int, list[Node]] = {port: [] for port in ports}

    def boot(port: int) -> Node:
        boots[port].append(Node(addresses.mac(CLUSTER, port)))
        return boots[port][-1]

    before = {port: hub.peers[port].userland for port in ports}
    for port in ports:
        hub.peers[port].userland = partial(boot, port)
    try:
        yield boots
    finally:
        for port in ports:
            hub.remove(port)
            hub.peers[port].userland = before[port]
        await _ended([node.life for port in ports for node in boots[port]])


async def _ended(lives: list[asyncio.Task[None]]) -> None:
    """Raise what any of them has failed with."""
    for life in lives:
        life.cancel()
    ends = await asyncio.gather(*lives, return_exceptions=True)
    if failures := [end for end in ends if isinstance(end, Exception)]:
        raise ExceptionGroup("nodes failed", failures)
