"""What is done for one slot: keep it up, or keep it off, whatever its port shows and however boots end.

Both are coroutines that never end by themselves; whoever changes the wish cancels one and starts the
other. Nothing is carried over that the port does not show.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import replace

from terrible import policy
from terrible.attempt import Attempt
from terrible.boot import Means, boot
from terrible.darkness import Darkness
from terrible.errors import BootError, Code, DeviceLeft, PowerError, Problem
from terrible.model import RUNNING, Phase, Stage
from terrible.port import HEARD, Port
from terrible.seams import Device
from terrible.standing import Standing
from terrible.state import State
from terrible.supply import Supply
from terrible.vigil import Vigil

UNSERVED = frozenset({Phase.ROM, Phase.LOADING, Phase.FLASHING})
"""Phases in which a Pi depends on being served, and must not be left powered without an agent."""


class Pursuit:
    """One slot's. `ended` is told of each outcome: None, or why what was asked for was not done."""

    def __init__(
        self,
        port: Port,
        supply: Supply,
        means: Means,
        standing: Standing,
        state: State,
        ended: Callable[[Problem | None], None],
    ) -> None:
        self.port, self.standing = port, standing
        self._slot = standing.report.slot
        self._supply, self._means, self._state, self._ended = supply, means, state, ended
        self._limits = means.limits
        self._vigil = Vigil(standing, supply, means.network, means.limits)
        self._darkness = Darkness(port, supply, standing, self._serve, ended)
        self._failures = self._flaps = 0
        self._on = False
        self._due: Callable[[], float] | None = None

    @property
    def phase(self) -> Phase:
        """Where the slot is."""
        return self.standing.report.phase

    @property
    def stuck(self) -> bool:
        """Whether a boot waits longer than its limits allow: a fault of ours, for the watchdog."""
        return self._due is not None and asyncio.get_running_loop().time() > self._due()

    def forgive(self) -> None:
        """A person asked: earlier failures count no longer."""
        self._failures = 0

    # -- off ----------------------------------------------------------------------------------------

    async def stay_off(self, force: bool) -> None:
        """Shut the node down, cut its power and keep it so. Where that is refused, the wish stands."""
        self._on = False
        await self._darkness.by_wish(force)

    async def stay_latched(self, why: Problem) -> None:
        """Cut the power at once and keep it so until a person lets go."""
        self._on = False
        await self._darkness.by_latch(why)

    # -- on -----------------------------------------------------------------------------------------

    async def stay_on(self, cycle: bool, force: bool) -> None:
        """Take the slot to `up`, keep it there, and bring it back when it fails."""
        self._on = True
        if cycle:
            await self._cycle_for(force)
        elif self.port.device is None and await self._supply.is_off():
            await self._give(cycle=False)
        await self._serve()

    async def _serve(self) -> None:
        while True:
            await asyncio.sleep(policy.settle(self._flaps))
            await self._arrival()
            device = await self._attempt()
            if device is not None:
                self._failures = self._flaps = 0
                await self._vigil.keep(device)

    async def _give(self, cycle: bool) -> None:
        await self._supply.give(cycle, self._held_up)

    def _held_up(self, why: Problem) -> None:
        """It may take an hour until it has power: whoever asked need not wait for that."""
        self.standing.say(self.phase, why)
        self._ended(why)

    async def _cycle_for(self, force: bool) -> None:
        """A person asked for it: a refusal ends the order, not the slot."""
        try:
            await self._supply.cut_gently(force, for_good=False)
        except PowerError as error:
            self.standing.say(self.phase, error.problem, addresses=self.standing.report.addresses)
            self._ended(error.problem)
        else:
            self.standing.say(Phase.OFF)
            await self._give(cycle=True)

    async def _arrival(self) -> None:
        """Return when the port shows something. A slot that stays empty has not failed."""
        while True:
            try:
                async with asyncio.timeout(self._patience()):
                    await self.port.shows()
                    return
            except TimeoutError:
                interrupted = self._flaps > 0
                self._found_empty()
            if not await self._supply.is_off():
                self._failures = 0  # only a port with power can be seen to be empty
                await self.port.shows()
                return
            await self._found_dark(interrupted)

    def _patience(self) -> float:
        """Seconds until an empty port is believed. What ran may run on unheard of, and is protected."""
        limit = self._limits.power_on_to_rom
        return max(limit, HEARD) if self.phase in RUNNING else limit

    async def _found_dark(self, interrupted: bool) -> None:
        """Power was not given, or was cut with another's: what that cut short goes on.

        A port that was empty then stays dark, lest slots of one gang power and cut each other in turn.
        """
        problem = self.standing.report.problem
        if not self._on:
            await self.port.shows()
        elif interrupted or (problem is not None and problem.code is not Code.POWER_SHARED):
            await self._give(cycle=True)
        else:
            self.standing.shares(power=False)
            await self.port.shows()

    def _found_empty(self) -> None:
        was_up = self.phase in (Phase.UP, Phase.LOST, Phase.HALTED)
        self._flaps = 0
        self._supply.settled()
        self.standing.say(Phase.HALTED if was_up else Phase.WAITING, self.standing.report.problem)
        limit = self._limits.power_on_to_rom
        self._ended(Problem(Code.BOOT_FAILED, f"nothing showed up at {self._slot.location} in {limit:g} s"))

    async def _attempt(self) -> Device | None:
        """Boot once; None where that failed, after doing what the policy says about it."""
        name = self._slot.name
        tree = self._means.files.tree(self._state.image_on_card(name))
        slot = replace(self._slot, first_boot=self._state.first_boot(name) or "", tree=tree)
        attempt = Attempt(slot, self.standing.next_attempt(), self.standing, self._complained)
        try:
            device = await self._boot(attempt)
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
        return None

    def _complained(self, problem: Problem) -> None:
        """The attempt goes on for who knows how long: neither people nor other slots wait for it."""
        self._supply.settled()
        self._ended(problem)

    async def _boot(self, attempt: Attempt) -> Device:
        self._due, words = attempt.due, attempt.slot.first_boot
        try:
            first = self._state.first_boot(self._slot.name) is not None
            device = await boot(self.port, self._means.for_first_boot if first else self._means, attempt)
            await attempt.hashed()
        finally:
            self._due = None
            if attempt.slot.first_boot != words:
                self._state.set_first_boot(self._slot.name, attempt.slot.first_boot)
        return device

    def _booted(self, device: Device, attempt: Attempt) -> None:
        self._supply.settled()
        outcome = {Stage.GADGET: Phase.UP, Stage.DISK: Phase.DISK}.get(device.stage)
        if outcome is None:
            stranger = f"{device.descriptors} at {self._slot.location} is no Pi; it is left alone"
            self.standing.say(Phase.WAITING, Problem(Code.CONFLICT, stranger))
            self._ended(self.standing.report.problem)
        else:
            self.standing.say(outcome, addresses=attempt.addresses, power=True)
            if outcome is Phase.UP:
                self._state.set_first_boot(self._slot.name, None)
        self.standing.attempted(attempt.closed(str(outcome or device.stage)))
        self._ended(None)

    def _left(self, attempt: Attempt, error: DeviceLeft) -> None:
        """Pulled out in the middle: no failure of the node. A plug that keeps doing it is let settle."""
        self._flaps += 1
        ran = self.phase in RUNNING
        self.standing.say(self.phase if ran else Phase.WAITING)
        if self._flaps <= 2:
            self.standing.attempted(attempt.closed("left", error.problem.message))
        else:
            self._complained(error.problem)

    # -- recovery -----------------------------------------------------------------------------------

    async def _recover(self, problem: Problem) -> None:
        """After a failed attempt: power off for a while and on again, or give up until something changes."""
        self._failures += 1
        self._ended(problem)
        if policy.gives_up(self._failures, self._limits):
            await self._quarantine(problem)
            return
        self.standing.say(Phase.FAILED, problem)
        dark = await self._supply.try_to_cut()
        await asyncio.sleep(policy.pause(self._failures, self._limits))
        if dark and self._on:
            await self._give(cycle=True)

    async def _quarantine(self, problem: Problem) -> None:
        """Without power, as soon as that hurts nobody, until something new arrives.

        What only had its power back has one attempt, lest two of a gang wake each other for ever.
        """
        failed = self.port.device
        self.standing.say(Phase.QUARANTINED, problem)
        for refusals in itertools.count(1):
            dark = await self._supply.try_to_cut(for_good=True)
            if dark:
                self.standing.say(Phase.QUARANTINED, problem)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if dark else policy.insist(refusals)):
                    await self.port.shows(other_than=failed)
                    break
        if not self.port.returned:
            self._failures = 0

    # -- the end ------------------------------------------------------------------------------------

    async def leave(self, shown: Stage | None) -> None:
        """The agent stops, and the port shows this: leave no Pi powered that waits to be served.

        Call it after the pursuit has ended.
        """
        about_to_show = self.port.lit_within(self._limits.power_on_to_rom)
        waits = self.phase in UNSERVED or (self.phase not in RUNNING and about_to_show)
        if waits or shown in (Stage.ROM, Stage.LOADER):
            await self._supply.try_to_cut()
