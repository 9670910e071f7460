"""A node that runs by itself: is it still there, does it still answer, and what if it does not."""

from __future__ import annotations

import asyncio

from terrible.errors import DeviceLeft
from terrible.limits import Limits
from terrible.model import Phase, Stage
from terrible.port import while_there
from terrible.seams import Device, Network
from terrible.standing import Standing
from terrible.supply import Supply


def _forget(_: str) -> None:
    """The steps on the way are told of a boot only."""


class Vigil:
    """Kept over one slot's node."""

    def __init__(self, standing: Standing, supply: Supply, network: Network, limits: Limits) -> None:
        self._slot = standing.report.slot
        self._standing, self._supply, self._network, self._limits = standing, supply, network, limits

    async def keep(self, device: Device) -> None:
        """Tell when the node no longer answers; return when it has left the bus, or lost its power."""
        try:
            while device.stage is Stage.GADGET:
                await while_there(device, self._network.lost(self._slot))
                self._standing.say(Phase.LOST)
                if await self._answers_again(device, self._limits.watchdog if self._slot.watchdog else None):
                    continue
                if await self._bite():
                    return
                await self._answers_again(device, None)
            await device.left()
        except DeviceLeft:
            return

    async def _answers_again(self, device: Device, limit: float | None) -> bool:
        """Whether it did within the limit, if there is one."""
        try:
            async with asyncio.timeout(limit):
                addresses = await while_there(device, self._network.reachable(self._slot, device, _forget))
        except TimeoutError:
            return False
        self._standing.say(Phase.UP, addresses=addresses)
        return True

    async def _bite(self) -> bool:
        """The watchdog's: cycle a node that hangs; False where its power cannot be cut."""
        self._standing.happened("watchdog", f"no answer for {self._limits.watchdog:g} s")
        if not await self._supply.try_to_cut():
            return False
        await self._supply.give(True, lambda why: self._standing.say(Phase.OFF, why))
        return True
