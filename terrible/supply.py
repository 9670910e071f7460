"""The power of one slot: cut where that hurts nobody else, given back when it is the slot's turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from terrible.gate import Gate
from terrible.model import Code, PowerError, Slot
from terrible.port import Port
from terrible.seams import HubPort, Power

Hurt = Callable[[Slot, HubPort, bool], list[str]]
"""Who else would be hurt if this slot lost power; with force only what is no Pi."""


class Supply:
    """The switch is looked up anew for every use, for hubs come and go."""

    def __init__(self, slot: Slot, port: Port, power: Power, gate: Gate, hurt: Hurt) -> None:
        self._slot, self._port, self._power, self._gate, self._hurt = slot, port, power, gate, hurt
        self._powered_at = float("-inf")

    async def check(self, force: bool) -> HubPort:
        """The switch; PowerError where there is none, or cutting would hurt somebody else."""
        switch = await self._power.port(self._slot.location)
        if not switch.affects():
            raise PowerError(switch.why)
        if hurt := self._hurt(self._slot, switch, force):
            who = ", ".join(hurt)
            raise PowerError(f"cutting {self._slot.location} would also cut {who}", Code.POWER_PROTECTED)
        return switch

    async def cut(self, force: bool) -> None:
        """Power off; PowerError where that cannot be done, or would hurt somebody else."""
        switch = await self.check(force)
        await switch.switch(on=False)
        self._port.went_dark()
        self._gate.went_dark(self._slot.name)

    async def give(self, cycle: bool, held_up: Callable[[str], None]) -> None:
        """Power on when it is this slot's turn; PowerError where the port stays dark.

        `held_up` is told why, while the head's own supply is too weak for one more.
        """
        switch = await self._power.port(self._slot.location)
        await self._gate.power_on(self._slot.name, switch, cycle, held_up)
        self._powered_at = asyncio.get_running_loop().time()

    async def is_off(self) -> bool:
        """Whether the port is known to be without power."""
        switch = await self._power.port(self._slot.location)
        return await switch.powered() is False

    def settled(self) -> None:
        """The cold boot that `give` began is over, however it ended: the next slot may start."""
        self._gate.done(self._slot.name)

    def given_within(self, seconds: float) -> bool:
        """Whether we powered the port so recently."""
        return asyncio.get_running_loop().time() - self._powered_at < seconds
