"""The probe of one slot's switch, made by the agent that serves it: a power cycle that is watched.

It has its turn at the gate like any other. What comes back is served as soon as it has been seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from terrible.errors import Code, PowerError, Problem
from terrible.gate import HeldUp
from terrible.model import RUNNING, Phase, Stage, Verdict
from terrible.port import Port
from terrible.seams import HubPort, Trial
from terrible.standing import Standing
from terrible.state import State
from terrible.supply import Mains, Supply

Ended = Callable[[Problem | None], None]


class Probing:
    """One slot's probes; what they find out is remembered, and the choice of a switch goes by it."""

    def __init__(self, port: Port, supply: Supply, standing: Standing, mains: Mains, state: State) -> None:
        self._slot = standing.report.slot
        self._port, self._supply, self._standing = port, supply, standing
        self._mains, self._state = mains, state

    async def refusal(self, force: bool) -> Problem | None:
        """Why this port is not to be probed now, if anything stands against it. Touches nothing."""
        try:
            if (trial := await self._next(None)) is not None:
                self._check(trial.port, force)
        except PowerError as error:
            return error.problem
        return self._mains.gate.against_cycle(self._slot.name)

    async def run(self, force: bool, ended: Ended) -> None:
        """Probe the best switch and, while one does not work, the next.

        `ended` is told once all is known and remembered, or why it was not done or takes very long.
        """

        def held_up(why: Problem) -> None:
            self._standing.say(self._standing.report.phase, why)
            ended(why)

        found: Verdict | None = None
        try:
            await self._wake(held_up)
            while (trial := await self._next(found)) is not None:
                found = await self._probe(trial, force, held_up)
                if found["works"]:
                    break
        except PowerError as error:
            if found is None:
                ended(error.problem)
                return
        if found is not None:
            self._state.set_verdict(self._slot.location, found)
            said = {"backend": found["backend"], "works": found["works"]}
            self._standing.happened("probed", found["sentence"], **said)
        ended(None)

    async def _next(self, found: Verdict | None) -> Trial | None:
        return await self._mains.prober.trial(self._slot.location, found)

    # -- who would be hurt --------------------------------------------------------------------------

    def _check(self, switch: HubPort, force: bool) -> None:
        """PowerError where decision 9 protects somebody; a probe shuts down nobody before it cuts."""
        self._supply.check(switch, force, for_good=False)
        if not force and self._runs():
            why = f"{self._slot.name} at {self._slot.location} runs; shut it down first, or ask with force"
            raise PowerError(why, Code.POWER_PROTECTED)

    def _runs(self) -> bool:
        device = self._port.device
        shown = device is not None and device.stage in (Stage.GADGET, Stage.DISK)
        return shown or self._standing.report.phase in RUNNING

    # -- off and on ---------------------------------------------------------------------------------

    async def _wake(self, held_up: HeldUp) -> None:
        """What has no power has nothing to show."""
        if await self._supply.is_off():
            await self._supply.give(False, held_up)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._mains.limits.power_on_to_rom):
                    await self._port.shows()

    async def _probe(self, trial: Trial, force: bool, held_up: HeldUp) -> Verdict:
        gate, name, cut = self._mains.gate, self._slot.name, trial.port.affects()
        await gate.unprobed(name, cut)  # those of a gang one after the other
        self._check(trial.port, force)
        with gate.probing(name, cut):
            await self._off(trial)
            await self._on(trial, held_up)
            return await trial.back()

    async def _off(self, trial: Trial) -> None:
        """From here on what is listed there is a ghost, unless it turns out that it has kept its power."""
        before = self._port.device
        self._standing.say(Phase.OFF)
        self._supply.went_dark(trial.port)
        if not await trial.off() and before is not None and not before.gone:
            self._port.arrived(before)

    async def _on(self, trial: Trial, held_up: HeldUp) -> None:
        """At its turn, which is now where something shows already: the switch must be on all the same."""
        await self._supply.turn(trial.port, True, held_up)
        try:
            lit = await trial.on()
        finally:  # also when cancelled: the port may have power by now
            self._port.got_power()
        if lit:
            self._supply.got_power(trial.port)
        else:
            self._supply.settled()
