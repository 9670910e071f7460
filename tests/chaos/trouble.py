"""What can happen to a cluster, drawn from a seed: boards, cables, ears, and what people do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from terrible.limits import Limits
from terrible.model import Location
from terrible.sim.cluster import hub_locations
from terrible.sim.families import DISK, FAMILIES, GADGET
from terrible.sim.faults import Break, Error, Fault, Hearing, Kind
from terrible.sim.pi import Pi
from tests.chaos.watch import Watched
from tests.cluster import Rig

ORDER = ("autoboot.txt", "config.txt", "start.elf", "cmdline.txt", "kernel.img", "config.txt")
"""A short boot: hits, misses, a file asked for twice, a template."""
MESSAGES = 40
"""More than the transfers of such a boot, from the first announcement to the last request."""
YEAR = 365 * 24 * 3600.0
ACTIONS = ("on", "off", "cycle", "boot", "release")
ORDERS = ("reboot", "poweroff", "hang", "recover")


def limits(dice: random.Random) -> Limits:
    """The defaults, or a head that boots one after the other."""
    return Limits(cold_boots=dice.choice([1, 2, 8, 8]))


def sick_cluster(dice: random.Random) -> Watched:
    """A few ports: without a Pi, with a bad one, with a bad cable; on a hub that may be ganged."""
    boards = [_pi(dice) if dice.random() < 0.9 else None for _ in range(dice.choice([1, 2, 2, 3, 3, 4]))]
    locations = hub_locations("1-1", len(boards))
    cluster = Watched(dict(zip(locations, boards, strict=True)), ganged=dice.random() < 0.25)
    for port in cluster.ports.values():
        port.cable.breaks = [_break(dice) for _ in range(dice.choice([0, 0, 0, 1, 3]))]
    if dice.random() < 0.5:
        cluster.bus.hearing = Hearing(random.Random(dice.random()), late=0.2, lost=0.1)
    return cluster


def _pi(dice: random.Random) -> Pi:
    return Pi(
        FAMILIES[dice.choice(sorted(FAMILIES))],
        faults=[_fault(dice) for _ in range(dice.choice([0, 0, 1, 1, 2]))],
        order=ORDER,
        becomes=dice.choice([GADGET] * 9 + [DISK]),
        chance=random.Random(dice.random()),
    )


def _fault(dice: random.Random) -> Fault:
    """Of some kind; one that comes back as ROM for ever is served for ever, so it has an end here."""
    kind = dice.choice(list(Kind))
    times = dice.choice([1, 1, 1, 2, 3, 6 if kind is Kind.ROM_AGAIN else None])
    return Fault(kind, times, dice.choice([1.0, 0.5]))


def _break(dice: random.Random) -> Break:
    return Break(dice.randrange(MESSAGES), dice.choice(list(Error)), dice.choice([1, 1, 2, None]))


@dataclass
class People:
    """What was asked for, until it was answered for good."""

    rig: Rig
    asked: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    answers: int = 0

    def ask(self, slot: str, action: str, force: bool) -> None:
        number = str(len(self.asked) + 1)
        self.asked[number] = (slot, action, force)
        verb = action if action in ("boot", "release") else "power"
        self.rig.broker.ask(verb, slot, action if verb == "power" else "", force, number)

    def wished(self, location: Location) -> bool:
        """Whether somebody asked for what cuts this port, and was not yet told how that ended.

        `on` and `release` never ask for that, unless somebody insists.
        """
        (life,) = (life for life in self.rig.agent.lives.values() if life.slot.location == location)
        ended = {
            request.id for request, answer in self.rig.broker.answers if answer.status in ("done", "error")
        }
        return not life.standing.report.wish or any(
            slot in (life.slot.name, "all") and (force or action in ("off", "cycle", "boot"))
            for number, (slot, action, force) in self.asked.items()
            if number not in ended
        )


@dataclass
class Trouble:
    """A dice that does something to the cluster."""

    dice: random.Random
    rig: Rig
    cluster: Watched
    people: People
    patch: pytest.MonkeyPatch
    done: list[str] = field(default_factory=list)

    async def strike(self) -> None:
        """One thing of all that can happen."""
        acts: list[Callable[[], Awaitable[Any]]] = [
            self._pull, self._swap, self._reset, self._replug, self._jump, self._ask, self._ask, self._tell,
        ]  # fmt: skip
        act = self.dice.choice(acts)
        self.done.append(f"{asyncio.get_running_loop().time():.1f} {act.__name__}")
        await act()

    def _place(self) -> Location:
        return self.dice.choice(sorted(self.cluster.ports))

    async def _pull(self) -> None:
        port = self.cluster.ports[self._place()]
        await port.stop()
        await asyncio.sleep(self.dice.choice([0.01, 0.5, 5.0, 60.0]))
        port.start()

    async def _swap(self) -> None:
        await self.cluster.swap(self._place(), self._place())

    async def _reset(self) -> None:
        await self.cluster.reset()

    async def _replug(self) -> None:
        await self.cluster.replug(self.dice.choice([0.5, 5.0, 60.0]))

    async def _jump(self) -> None:
        """The head's clock is set: NTP after a boot without a battery, or somebody's mistake."""
        now = self.dice.uniform(-30, 30) * YEAR + 1.8e9
        self.patch.setattr("time.time", lambda: now)

    async def _ask(self) -> None:
        slot = self.dice.choice([*(slot.name for slot in self.rig.slots), "all"])
        self.people.ask(slot, self.dice.choice(ACTIONS), self.dice.random() < 0.3)

    async def _tell(self) -> None:
        pi = self.cluster.ports[self._place()].pi
        if pi is not None and pi.running:
            pi.tell(self.dice.choice(ORDERS))
