"""The network seam where the network is left to others: a node is up once its gadget has been seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from terrible.model import NetworkNews, Slot
from terrible.seams import Device


class GadgetSeen:
    """Believes what USB shows, and never misses a node that is still plugged in."""

    async def reachable(self, slot: Slot, device: Device, passed: Callable[[str], None]) -> tuple[str, ...]:
        """At once: the gadget is there. Nobody has given it an address yet."""
        return ()

    async def lost(self, slot: Slot) -> None:
        """Never."""
        await asyncio.Event().wait()

    async def news(self) -> AsyncIterator[NetworkNews]:
        """None, ever: this network is somebody else's."""
        await asyncio.Event().wait()
        yield NetworkNews()
