"""The power of one slot: cut where that hurts nobody else, given back when it is the slot's turn.

The switch is looked up anew for every use, for hubs come and go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from terrible.errors import BootError, Code, PowerError
from terrible.gate import Gate, HeldUp
from terrible.limits import Limits
from terrible.model import Location, Phase, Slot, Stage
from terrible.port import Port
from terrible.seams import HubPort, Power, Prober, Shutdown
from terrible.standing import Standing

Hurt = Callable[[Slot, HubPort, bool, bool], list[str]]
"""Who else would be hurt if this slot lost power: by force only what is no Pi, for good who boots too."""
Switched = Callable[[Slot, frozenset[Location], bool], None]
"""Is told which locations a slot has switched, and whether on."""


@dataclass(frozen=True, slots=True)
class Mains:
    """What all slots of a head share: switches and probes, the gate, how nodes end, who would be hurt."""

    power: Power
    prober: Prober
    gate: Gate
    shutdown: Shutdown
    limits: Limits
    hurt: Hurt
    switched: Switched


class Supply:
    """One slot's. What it does is said, and so is what it could not do."""

    def __init__(self, port: Port, standing: Standing, mains: Mains) -> None:
        self._slot = standing.report.slot
        self._port, self._standing, self._mains = port, standing, mains

    # -- off ----------------------------------------------------------------------------------------

    async def cut(self, force: bool, for_good: bool) -> None:
        """Power off; PowerError where that cannot be done, or would hurt somebody else.

        `for_good`: the power does not come back by itself, so that who boots beside this slot is hurt too.
        """
        switch = await self._mains.power.port(self._slot.location)
        self.check(switch, force, for_good)
        await switch.switch(on=False)
        self.went_dark(switch)

    async def cut_gently(self, force: bool, for_good: bool) -> None:
        """By a person's wish: first the node may end in order, unless that cannot lead to a cut anyway."""
        self.check(await self._mains.power.port(self._slot.location), force, for_good)
        device = self._port.device
        if not force and device is not None and device.stage is Stage.GADGET:
            limit = self._mains.limits.shutdown
            try:
                async with asyncio.timeout(limit):
                    await self._mains.shutdown.shut_down(self._slot)
                    await device.left()
            except TimeoutError:
                self._standing.happened("shutdown", f"it did not shut down in {limit:g} s")
            except BootError as error:
                self._standing.happened("shutdown", error.problem.message)
        await self.cut(force, for_good)

    async def try_to_cut(self, for_good: bool = False) -> bool:
        """Cut the power where that hurts nobody; else say why not."""
        try:
            await self.cut(False, for_good)
        except PowerError as error:
            self._standing.say(self._standing.report.phase, error.problem)
            self.settled()
            return False
        return True

    def check(self, switch: HubPort, force: bool, for_good: bool) -> None:
        """PowerError where this switch cannot cut, or would hurt somebody else."""
        if not switch.affects():
            raise PowerError(switch.why)
        if hurt := self._mains.hurt(self._slot, switch, force, for_good):
            who = ", ".join(hurt)
            raise PowerError(f"cutting {self._slot.location} would also cut {who}", Code.POWER_PROTECTED)

    def went_dark(self, switch: HubPort) -> None:
        """Its port, and all that loses power with it, has been switched off."""
        self._mains.switched(self._slot, switch.affects(), False)
        report = self._standing.report
        self._standing.say(report.phase, report.problem, power=False)

    # -- on -----------------------------------------------------------------------------------------

    async def give(self, cycle: bool, held_up: HeldUp) -> bool:
        """Power on when it is this slot's turn; False where the port stays dark.

        `held_up` is told why it takes long.
        """
        switch = await self._mains.power.port(self._slot.location)
        if not await self.turn(switch, cycle, held_up):
            self._standing.say(Phase.WAITING, power=True)
            return True
        try:
            await self._mains.gate.switch_on(self._slot.name, switch)
        except PowerError as error:
            self._standing.say(self._standing.report.phase, error.problem)
            return False
        finally:  # also when cancelled: the port may have power by now
            self._port.got_power()
        self.got_power(switch)
        return True

    def got_power(self, switch: HubPort) -> None:
        """Its port, and all that has power with it, has been switched on."""
        self._mains.switched(self._slot, switch.affects(), True)
        self._standing.say(Phase.WAITING, power=True)

    async def turn(self, switch: HubPort, cycle: bool, held_up: HeldUp) -> bool:
        """Wait for its turn; False where a neighbour of its gang gave it power before.

        What shows up has to be served then, not to wait for an hour that its own cycles have spent.
        """
        gate, name = self._mains.gate, self._slot.name
        came = False
        try:
            came = await self._port.unless_it_shows(self._wait(switch, cycle, held_up))
        finally:
            if not came:  # its turn may have come in the very moment of that
                gate.done(name)
        return came

    async def _wait(self, switch: HubPort, cycle: bool, held_up: HeldUp) -> None:
        """Its turn, and nobody probes a port that has its power with this one."""
        gate, name = self._mains.gate, self._slot.name
        await gate.turn(name, cycle, held_up)
        while gate.probed(name, switch.affects()):
            gate.done(name)  # its place is another's meanwhile, perhaps that probe's
            await gate.unprobed(name, switch.affects())
            await gate.turn(name, False, held_up)

    async def is_off(self) -> bool:
        """Whether the port is known to be without power."""
        switch = await self._mains.power.port(self._slot.location)
        return await switch.powered() is False

    def settled(self) -> None:
        """The cold boot that `give` began is over, however it ended: the next slot may start."""
        self._mains.gate.done(self._slot.name)
