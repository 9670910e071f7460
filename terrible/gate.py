"""Where power-ons wait for their turn: the clock and the queue around `policy.Schedule`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from terrible.errors import Code, Problem
from terrible.limits import Limits
from terrible.model import Location
from terrible.policy import Schedule
from terrible.seams import HubPort

HeldUp = Callable[[Problem], None]
WEAK = 2.0
"""Seconds between two looks at a supply that is too weak (the firmware's own filter takes about one)."""


class Gate:
    """All slots of one head pass through here before their port gets power."""

    def __init__(self, limits: Limits, undervoltage: Callable[[], str]) -> None:
        self._limits = limits
        self._schedule = Schedule(limits)
        self._undervoltage = undervoltage
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self._probed: dict[str, Collection[Location]] = {}
        self._unprobed = asyncio.Event()

    async def turn(self, name: str, cycle: bool, held_up: HeldUp) -> None:
        """Return when the slot may have power; from then on it boots cold.

        `held_up` is told why it takes long: the slot's cycles of this hour are spent, or the head's own
        supply is too weak, and so nobody's turn comes.
        """
        await self._wait_for_own_limits(name, cycle, held_up)
        async with self._turn:  # first come, first served
            await self._wait_for_turn(name)
            while why := self._undervoltage():
                held_up(Problem(Code.UNDERVOLTAGE, why))
                await asyncio.sleep(WEAK)
            self._schedule.start(name, self._now(), cycle)

    async def switch_on(self, name: str, port: HubPort) -> None:
        """Power the port of a slot whose turn it is. PowerError if it cannot be powered."""
        try:
            await port.switch(on=True)
        except BaseException:
            self.done(name)
            raise

    def went_dark(self, name: str) -> None:
        """The slot's power was cut: its cold boot, if it was in one, is over."""
        self._schedule.cut(name, self._now())
        self.done(name)

    def done(self, name: str) -> None:
        """The slot's cold boot is over; the next may start."""
        self._schedule.end(name)
        self._freed.set()

    def against_cycle(self, name: str) -> Problem | None:
        """Why a slot that is cut now would have to wait long for its power."""
        if why := self._undervoltage():
            return Problem(Code.UNDERVOLTAGE, why)
        wait = self._schedule.rest(name, self._now(), cycle=True)
        return self._spent(wait) if self._is_long(wait) else None

    # -- probes -------------------------------------------------------------------------------------

    @contextmanager
    def probing(self, name: str, locations: Collection[Location]) -> Iterator[None]:
        """While these ports are probed nobody else powers them: it would be taken for the kernel's doing."""
        self._probed[name] = locations
        try:
            yield
        finally:
            del self._probed[name]
            self._unprobed.set()

    def probed(self, name: str, locations: Collection[Location]) -> bool:
        """Whether another slot's probe has some of these ports."""
        return any(other != name and {*held} & {*locations} for other, held in self._probed.items())

    async def unprobed(self, name: str, locations: Collection[Location]) -> None:
        """Return once no other slot's probe has any of these ports."""
        while self.probed(name, locations):
            self._unprobed.clear()
            await self._unprobed.wait()

    # -- waiting ------------------------------------------------------------------------------------

    async def _wait_for_own_limits(self, name: str, cycle: bool, held_up: HeldUp) -> None:
        """A slot that cycles too often waits outside, so that it holds nobody up."""
        while (wait := self._schedule.rest(name, self._now(), cycle)) > 0:
            if self._is_long(wait):
                held_up(self._spent(wait))
            await asyncio.sleep(wait)

    def _is_long(self, wait: float) -> bool:
        """Whether it is its share of the hour that a slot waits for."""
        return wait > max(self._limits.cycle_every, self._limits.off_time)

    def _spent(self, wait: float) -> Problem:
        many = self._limits.cycles_per_hour
        return Problem(Code.CYCLES_SPENT, f"{many} power cycles in an hour are enough; on in {wait:.0f} s")

    async def _wait_for_turn(self, name: str) -> None:
        while (wait := self._schedule.wait(name, self._now())) != 0:
            self._freed.clear()
            if wait is None:
                await self._freed.wait()
            else:
                await asyncio.sleep(wait)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
