"""The life of one slot: what is wished, what its port shows, and what to do when a boot fails.

It runs one pursuit at a time, `_stay_on` or `_stay_off`. A person's order ends the pursuit and starts
another; nothing is carried over that the port does not show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from terrible import policy
from terrible.attempt import Attempt
from terrible.boot import Means, boot
from terrible.model import BootError, Code, DeviceLeft, Phase, PowerError, Problem, Stage
from terrible.port import Port, while_there
from terrible.seams import Device
from terrible.standing import Standing
from terrible.supply import Supply

BOOTING = frozenset({Phase.ROM, Phase.LOADING, Phase.STARTING})
UNSERVED = frozenset({Phase.ROM, Phase.LOADING})
"""Phases in which a Pi depends on being served, and must not be left powered without an agent."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants of a slot; `done` gets None, or why it was not done."""

    action: str
    force: bool
    done: asyncio.Future[Problem | None] = field(compare=False)


class Life:
    """One slot, from the agent's start to its end."""

    def __init__(
        self,
        port: Port,
        supply: Supply,
        means: Means,
        standing: Standing,
    ) -> None:
        self.port, self.standing = port, standing
        self.slot = standing.report.slot
        self.wish = standing.report.wish
        self._supply, self._means = supply, means
        self._limits = means.limits
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._order: Order | None = None
        self._attempts = self._failures = self._flaps = 0
        self._due: Callable[[], float] | None = None

    # -- orders -----------------------------------------------------------------------------------

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
        return self._due is not None and asyncio.get_running_loop().time() > self._due()

    def order(self, action: str, force: bool) -> asyncio.Future[Problem | None]:
        """Ask for `on`, `off`, `cycle`, `boot` or `release`; the future tells how it ended."""
        order = Order(action, force, asyncio.get_running_loop().create_future())
        self._order = order
        self._orders.put_nowait(order)
        return order.done

    def _finish(self, problem: Problem | None = None) -> None:
        if self._order is not None and not self._order.done.done():
            self._order.done.set_result(problem)
        self._order = None

    # -- one pursuit after the other ----------------------------------------------------------------

    async def run(self) -> None:
        """Keep the slot as wished until cancelled."""
        pursuit = asyncio.create_task(self._pursue(None), name=f"{self.slot.name} pursuit")
        try:
            while True:
                order = await self._next_order(pursuit)
                if self._goes_on(order):
                    continue
                await _end(pursuit)
                pursuit = asyncio.create_task(self._pursue(order), name=f"{self.slot.name} {order.action}")
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
        if not self.wish or order.action not in ("on", "boot", "release"):
            return False
        if self.phase in (Phase.UP, Phase.DISK, Phase.FLASHING):
            self._finish()
            return True
        return self.phase in BOOTING

    async def _pursue(self, order: Order | None) -> None:
        if order is not None and order.action in ("on", "off", "boot"):
            self.wish = order.action != "off"
            self.standing.say(self.phase, self.standing.report.problem, wish=self.wish)
        force = order is not None and order.force
        if self.wish:
            self._failures = 0
            await self._stay_on(cycle=order is not None and self.phase is not Phase.OFF, force=force)
        else:
            await self._stay_off(force)

    # -- off ----------------------------------------------------------------------------------------

    async def _stay_off(self, force: bool) -> None:
        """Cut the power and leave it so. Where it cannot be cut, say why; the wish stands."""
        try:
            await self._cut(force)
        except PowerError as error:
            self._supply.settled()
            self.standing.say(self.phase, error.problem)
            self._finish(error.problem)
        else:
            self.standing.say(Phase.OFF)
            self._finish()
        await asyncio.Event().wait()

    async def _cut(self, force: bool) -> None:
        await self._supply.cut(force)
        self.standing.say(self.phase, self.standing.report.problem, power=False)

    # -- on -----------------------------------------------------------------------------------------

    async def _stay_on(self, cycle: bool, force: bool) -> None:
        """Take the slot to `up`, keep it there, and bring it back when it fails."""
        if cycle:
            await self._cycle_for(force)
        elif self.port.device is None and await self._supply.is_off():
            await self._power_on(cycle=False)
        while True:
            await asyncio.sleep(policy.settle(self._flaps))
            await self._arrival()
            device = await self._attempt()
            if device is not None:
                self._failures = self._flaps = 0
                await self._while_running(device)

    async def _cycle_for(self, force: bool) -> None:
        """A person asked for it: a refusal ends the order, not the slot."""
        try:
            await self._cut(force)
        except PowerError as error:
            self.standing.say(self.phase, error.problem, addresses=self.standing.report.addresses)
            self._finish(error.problem)
        else:
            self.standing.say(Phase.OFF)
            await asyncio.sleep(self._limits.off_time)
            await self._power_on(cycle=True)

    async def _power_on(self, cycle: bool) -> None:
        try:
            await self._supply.give(cycle)
        except PowerError as error:
            self.standing.say(self.phase, error.problem)
        else:
            self.standing.say(Phase.WAITING, power=True)

    async def _arrival(self) -> None:
        """Return when the port shows something. A slot that stays empty has not failed."""
        try:
            async with asyncio.timeout(self._limits.power_on_to_rom):
                await self.port.shows()
        except TimeoutError:
            self._found_empty()
            await self.port.shows()

    def _found_empty(self) -> None:
        was_up = self.phase in (Phase.UP, Phase.LOST, Phase.HALTED)
        self._failures = self._flaps = 0
        self._supply.settled()
        self.standing.say(Phase.HALTED if was_up else Phase.WAITING, self.standing.report.problem)
        limit = self._limits.power_on_to_rom
        self._finish(Problem(Code.BOOT_FAILED, f"nothing showed up at {self.slot.location} in {limit:g} s"))

    async def _attempt(self) -> Device | None:
        """Boot once; None where that failed, after doing what the policy says about it."""
        self._attempts += 1
        attempt = Attempt(self.slot, self._attempts, self.standing)
        self._due = attempt.due
        try:
            device = await boot(self.port, self._means, attempt)
            await attempt.hashed()
        except DeviceLeft as error:
            self._left(attempt, error)
        except BootError as error:
            self.standing.attempted(attempt.closed("failed", error.problem.message))
            await self._recover(error.problem)
        except asyncio.CancelledError:
            self.standing.attempted(attempt.closed("stopped"))
            raise
        else:
            self._booted(device, attempt)
            return device
        finally:
            self._due = None
        return None

    def _booted(self, device: Device, attempt: Attempt) -> None:
        self._supply.settled()
        outcome = {Stage.GADGET: Phase.UP, Stage.DISK: Phase.DISK}.get(device.stage)
        if outcome is None:
            stranger = f"{device.descriptors} at {self.slot.location} is no Pi; it is left alone"
            self.standing.say(Phase.WAITING, Problem(Code.CONFLICT, stranger))
        else:
            self.standing.say(outcome, addresses=attempt.addresses, power=True, attempt=self._attempts)
        self.standing.attempted(attempt.closed(str(outcome or device.stage)))
        self._finish()

    def _left(self, attempt: Attempt, error: DeviceLeft) -> None:
        """Pulled out in the middle: no failure of the node. A plug that keeps doing it is let settle."""
        self._flaps += 1
        self.standing.say(Phase.WAITING)
        if self._flaps <= 2:
            self.standing.attempted(attempt.closed("left", error.problem.message))

    async def _while_running(self, device: Device) -> None:
        """The node runs by itself: tell when it no longer answers; return when it has left the bus."""
        try:
            while device.stage is Stage.GADGET:
                await while_there(device, self._means.network.lost(self.slot))
                self.standing.say(Phase.LOST)
                addresses = await while_there(device, self._means.network.reachable(self.slot, device))
                self.standing.say(Phase.UP, addresses=addresses)
            await device.left()
        except DeviceLeft:
            return

    # -- recovery -----------------------------------------------------------------------------------

    async def _recover(self, problem: Problem) -> None:
        """After a failed attempt: power off for a while and on again, or give up until something changes."""
        self._failures += 1
        self._finish(problem)
        failed = self.port.device
        if policy.gives_up(self._failures, self._limits):
            self.standing.say(Phase.QUARANTINED, problem)
            await self._try_to_cut()
            await self.port.shows(other_than=failed)
            self._failures = 0
            return
        self.standing.say(Phase.FAILED, problem)
        if await self._try_to_cut():
            await asyncio.sleep(max(self._limits.off_time, policy.pause(self._failures, self._limits)))
            await self._power_on(cycle=True)
        else:
            await asyncio.sleep(policy.pause(self._failures, self._limits))

    async def _try_to_cut(self) -> bool:
        """Cut the power where that hurts nobody; a pause then is spent dark, never in an unserved ROM."""
        try:
            await self._cut(force=False)
        except PowerError as error:
            self.standing.say(self.phase, error.problem)
            self._supply.settled()
            return False
        return True

    # -- the end ------------------------------------------------------------------------------------

    async def leave(self, shown: Stage | None) -> None:
        """The agent stops, and the port shows this: leave no Pi powered that waits to be served.

        Call it after `run` has ended.
        """
        about_to_show = self._supply.given_within(self._limits.power_on_to_rom)
        waits = self.phase in UNSERVED or (self.phase is Phase.WAITING and about_to_show)
        if waits or shown in (Stage.ROM, Stage.LOADER):
            await self._try_to_cut()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has really ended; what it raised is its own affair by now."""
    task.cancel()
    await asyncio.wait({task})
