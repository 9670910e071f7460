"""Where power-ons wait for their turn: the clock and the queue around `policy.Schedule`."""

from __future__ import annotations

import asyncio

from terrible.model import Limits
from terrible.policy import Schedule
from terrible.seams import HubPort


class Gate:
    """All slots of one head pass through here before their port gets power."""

    def __init__(self, limits: Limits) -> None:
        self._schedule = Schedule(limits)
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def power_on(self, name: str, port: HubPort, cycle: bool) -> None:
        """Wait for the slot's turn, then power its port. PowerError if it cannot be powered."""
        await self._wait_for_own_limits(name, cycle)
        async with self._turn:  # first come, first served
            await self._wait_for_turn(name)
            self._schedule.start(name, self._now(), cycle)
        try:
            await port.switch(on=True)
        except BaseException:
            self.done(name)
            raise

    def done(self, name: str) -> None:
        """The slot's cold boot is over; the next may start."""
        self._schedule.end(name)
        self._freed.set()

    async def _wait_for_own_limits(self, name: str, cycle: bool) -> None:
        """A slot that cycles too often waits outside, so that it holds nobody up."""
        while cycle and (wait := self._schedule.rest(name, self._now())) > 0:
            await asyncio.sleep(wait)

    async def _wait_for_turn(self, name: str) -> None:
        while (wait := self._schedule.wait(name, self._now())) != 0:
            self._freed.clear()
            if wait is None:
                await self._freed.wait()
            else:
                await asyncio.sleep(wait)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
