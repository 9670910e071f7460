"""The network seam until there is a node network: a node is up once its gadget has been seen."""

from __future__ import annotations

import asyncio

from terrible.model import Slot
from terrible.seams import Device


class GadgetSeen:
    """Believes what USB shows, and never misses a node that is still plugged in."""

    async def reachable(self, slot: Slot, device: Device) -> tuple[str, ...]:
        """At once: the gadget is there. Nobody has given it an address yet."""
        return ()

    async def lost(self, slot: Slot) -> None:
        """Never."""
        await asyncio.Event().wait()
