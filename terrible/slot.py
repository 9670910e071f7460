"""One slot: what is wished of it, and who asked for what. What is done about it is its pursuit's.

It runs one pursuit at a time. A person's order ends it and starts another; so does a latch, which only a
person's `release` takes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field

from terrible.boot import Means
from terrible.errors import Code, Problem
from terrible.flashing import Flashing, Job
from terrible.model import Phase, Stage
from terrible.port import Port
from terrible.probing import Probing
from terrible.pursuit import Pursuit
from terrible.standing import Standing
from terrible.state import State
from terrible.supply import Supply

BOOTING = frozenset({Phase.ROM, Phase.LOADING, Phase.STARTING})


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants of a slot; `done` gets None, or why it was not done."""

    action: str
    force: bool
    done: asyncio.Future[Problem | None] = field(compare=False)
    job: Job | None = None


class Life:
    """One slot, from the agent's start to its end."""

    def __init__(
        self,
        port: Port,
        supply: Supply,
        means: Means,
        standing: Standing,
        state: State,
        probing: Probing,
        flashing: Flashing,
    ) -> None:
        self.port, self.standing = port, standing
        self.slot = standing.report.slot
        self.wish = standing.report.wish
        self._state, self._probing, self._flashing = state, probing, flashing
        self._pursuit = Pursuit(port, supply, means, standing, state, self._finish)
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._order: Order | None = None
        self._served: Order | None = None

    @property
    def phase(self) -> Phase:
        """Where the slot is."""
        return self.standing.report.phase

    @property
    def busy(self) -> bool:
        """Whether an order is still being carried out."""
        return self._order is not None

    @property
    def stuck(self) -> bool:
        """Whether a boot waits longer than its limits allow: a fault of ours, for the watchdog."""
        return self._pursuit.stuck

    @property
    def latched(self) -> Problem | None:
        """What holds the slot off until a person releases it."""
        code = self._state.latch(self.slot.name)
        return Problem(Code(code), _WHY[Code(code)]) if code in _WHY else None

    # -- orders -------------------------------------------------------------------------------------

    def order(self, action: str, force: bool, job: Job | None = None) -> asyncio.Future[Problem | None]:
        """Ask for an action of requests.ACTIONS, for `flash` with a job; the future tells how it ended."""
        order = Order(action, force, asyncio.get_running_loop().create_future(), job)
        self._order = order
        self._orders.put_nowait(order)
        return order.done

    def latch(self, code: Code) -> None:
        """Hold the slot off from now on, also over a restart. A dirty card stays the reason."""
        if self._state.latch(self.slot.name) != Code.DIRTY_CARD:
            self._state.set_latch(self.slot.name, code)
        self.standing.happened(code, _WHY[code])
        self._orders.put_nowait(Order("latch", False, asyncio.get_running_loop().create_future()))

    def _finish(self, problem: Problem | None = None) -> None:
        """What the pursuit was to do for an order is done; one that came just now is not meant."""
        served, self._served = self._served, None
        if served is not None and not served.done.done():
            served.done.set_result(problem)
        if self._order is served:
            self._order = None

    # -- one pursuit after the other ----------------------------------------------------------------

    async def run(self) -> None:
        """Keep the slot as wished until cancelled."""
        pursuit = self._start(None)
        try:
            while True:
                order = await self._next_order(pursuit)
                if self._goes_on(order) or await self._is_refused(order):
                    continue
                await _end(pursuit)
                pursuit = self._start(order)
        finally:
            await _end(pursuit)
            self._finish(Problem(Code.AGENT_ERROR, "the agent stopped"))

    async def _next_order(self, pursuit: asyncio.Task[None]) -> Order:
        order = asyncio.create_task(self._orders.get())
        try:
            await asyncio.wait({order, pursuit}, return_when=asyncio.FIRST_COMPLETED)
            if pursuit.done():
                pursuit.result()  # it never ends by itself: this raises what went wrong
            return order.result()
        finally:
            order.cancel()

    def _goes_on(self, order: Order) -> bool:
        """Whether what runs already is what this order wants; at `up` it is done at once."""
        if self.latched or not self.wish or order.action not in ("on", "boot", "release"):
            return False
        self._served = order
        lost = self.phase is Phase.LOST and order.action != "boot"  # it runs; only a boot may end that
        if lost or self.phase in (Phase.UP, Phase.DISK, Phase.FLASHING):
            self._finish()
            return True
        if self.phase in BOOTING and (problem := self.standing.report.problem) is not None:
            self._finish(problem)  # this boot may never end
        return self.phase in BOOTING

    async def _is_refused(self, order: Order) -> bool:
        """Whether it is a probe that may not be: what runs then runs on as if nobody had asked."""
        if self.latched or order.action != "probe":
            return False
        try:
            problem = await self._probing.refusal(order.force)
        finally:
            self._served = order
        if problem is not None:
            self._finish(problem)
        return problem is not None

    def _start(self, order: Order | None) -> asyncio.Task[None]:
        if self._served is not order:
            self._finish(self.latched)  # a latch came over it
        self._served = order
        action = order.action if order else "start"
        return asyncio.create_task(self._pursue(order), name=f"{self.slot.name} {action}")

    def _pursue(self, order: Order | None) -> Coroutine[None, None, None]:
        if order is not None and order.action == "release":
            self._state.release(self.slot.name)
        if order is not None and order.action in ("on", "off", "boot"):
            self.wish = order.action != "off"
            self.standing.say(self.phase, self.standing.report.problem, wish=self.wish)
        force = order is not None and order.force
        if order is not None and order.job is not None:
            return self._flash(order.job, force)
        if (why := self.latched) is not None:
            return self._pursuit.stay_latched(why)
        if order is not None and order.action == "probe":
            return self._probe(order)
        if not self.wish:
            return self._pursuit.stay_off(force)
        self._pursuit.forgive()
        return self._pursuit.stay_on(cycle=order is not None and self.phase is not Phase.OFF, force=force)

    async def _probe(self, order: Order) -> None:
        """Find out what the port's switch does, then go on as wished."""
        await self._probing.run(order.force, self._finish)
        if not self.wish:
            await self._pursuit.stay_off(force=False)
        self._pursuit.forgive()
        await self._pursuit.stay_on(cycle=False, force=False)

    async def _flash(self, job: Job, force: bool) -> None:
        """Write its card, then go on as wished; with a card that is not whole that is without power."""
        await self._flashing.run(job, force, self._finish)
        if (why := self.latched) is not None:
            await self._pursuit.stay_latched(why)
        if not self.wish:
            await self._pursuit.stay_off(force=True)
        self._pursuit.forgive()
        await self._pursuit.stay_on(cycle=True, force=True)

    async def leave(self, shown: Stage | None) -> None:
        """The agent stops, and the port shows this: leave no Pi powered that waits to be served.

        Call it after `run` has ended.
        """
        await self._pursuit.leave(shown)


_WHY = {
    Code.OVERCURRENT: "its port drew too much current and is off; look for a short, then release it",
    Code.DIRTY_CARD: "its card was not written to the end; flash it again, or release it",
}


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has really ended; what it raised is its own affair by now."""
    task.cancel()
    await asyncio.wait({task})
