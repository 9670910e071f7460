"""Where power-ons wait: promises that hold whatever the slots do, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from dataclasses import dataclass, field

import pytest

from terrible.errors import Code, PowerError, Problem
from terrible.gate import Gate, HeldUp
from terrible.limits import Limits
from terrible.model import Location
from terrible.policy import HOUR
from terrible.seams import HubPort
from tests import clock

ROUNDS = 100_000 if os.environ.get("LONG") == "1" else 10_000
TINY = 1e-6
"""Seconds that sums of floats may be off."""


@dataclass
class Port:
    """A switch that takes its time, fails when told to, and remembers when it was asked."""

    takes: float = 0.0
    fails: int = 0
    times: list[float] = field(default_factory=list)
    backend: str = "fake"
    why: str = ""

    def affects(self) -> frozenset[Location]:
        return frozenset()

    async def switch(self, on: bool) -> None:
        assert on
        self.times.append(now())
        await asyncio.sleep(self.takes)
        if self.fails:
            self.fails -= 1
            raise PowerError("the port did not")

    async def powered(self) -> bool | None:
        return None


def strong() -> str:
    """Nothing is wrong with the head's supply."""
    return ""


async def power_on(gate: Gate, name: str, port: HubPort, cycle: bool, held_up: HeldUp) -> None:
    """What a slot does with the gate."""
    await gate.turn(name, cycle, held_up)
    await gate.switch_on(name, port)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_ports_are_powered_a_stagger_apart_in_the_order_of_asking() -> None:
    async def story() -> None:
        gate, port = Gate(Limits(stagger=1.0), strong), Port(takes=5.0)
        order: list[str] = []

        async def slot(name: str) -> None:
            await power_on(gate, name, port, cycle=False, held_up=print)
            order.append(name)

        await asyncio.gather(*(slot(f"node{n}") for n in range(1, 5)))
        assert port.times == [0, 1, 2, 3], "a slow switch holds nobody up"
        assert order == ["node1", "node2", "node3", "node4"]

    clock.run(story())


def test_the_next_cold_boot_begins_when_one_is_over() -> None:
    async def story() -> None:
        gate, port = Gate(Limits(cold_boots=2), strong), Port()
        for name in ("node1", "node2"):
            await power_on(gate, name, port, cycle=False, held_up=print)
        third = asyncio.create_task(power_on(gate, "node3", port, cycle=False, held_up=print))
        await asyncio.sleep(1000)
        assert len(port.times) == 2
        gate.done("node1")
        gate.done("node1")
        await third
        assert port.times[2:] == [now()]

    clock.run(story())


def test_a_port_that_is_cut_while_it_waits_for_its_turn_stays_dark_for_its_time() -> None:
    """In a gang, the boot that it waits for ends with a cut of both ports."""

    async def story() -> None:
        gate, port = Gate(Limits(cold_boots=1, off_time=5.0), strong), Port()
        await power_on(gate, "node1", port, cycle=False, held_up=print)
        second = asyncio.create_task(power_on(gate, "node2", port, cycle=False, held_up=print))
        await asyncio.sleep(10)
        gate.went_dark("node1")
        gate.went_dark("node2")
        await second
        assert port.times == [0, 15]

    clock.run(story())


def test_nobody_slips_in_before_whoever_waits_longest() -> None:
    async def story() -> None:
        gate, port, hasty = Gate(Limits(cold_boots=1), strong), Port(), Port()
        await power_on(gate, "node1", port, cycle=False, held_up=print)
        second = asyncio.create_task(power_on(gate, "node2", port, cycle=False, held_up=print))
        await asyncio.sleep(10)
        gate.done("node1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await power_on(gate, "node3", hasty, cycle=False, held_up=print)
        await second
        assert (port.times, hasty.times) == ([0, 10], [])

    clock.run(story())


def test_a_slot_that_cycles_too_often_waits_aside() -> None:
    async def story() -> None:
        gate, restless, other = Gate(Limits(cycle_every=30.0), strong), Port(), Port()
        await power_on(gate, "node1", restless, cycle=True, held_up=print)
        again = asyncio.create_task(power_on(gate, "node1", restless, cycle=True, held_up=print))
        await asyncio.sleep(5)
        await power_on(gate, "node2", other, cycle=True, held_up=print)
        assert now() == 5
        await again
        assert restless.times == [0, 30]

    clock.run(story())


def test_a_switch_that_fails_frees_its_place() -> None:
    async def story() -> None:
        gate = Gate(Limits(cold_boots=1), strong)
        for _ in range(3):
            with pytest.raises(PowerError):
                await power_on(gate, "node1", Port(fails=1), cycle=False, held_up=print)
        await power_on(gate, "node2", Port(), cycle=False, held_up=print)
        assert now() == 3

    clock.run(story())


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_whoever_gives_up_waiting_leaves_no_trace(seconds: float) -> None:
    """It is cancelled while it waits in the line, for its turn, or for the switch."""

    async def story() -> None:
        gate = Gate(Limits(cold_boots=1, stagger=1.0), strong)
        first = asyncio.create_task(power_on(gate, "node1", Port(takes=1.0), cycle=False, held_up=print))
        second = asyncio.create_task(power_on(gate, "node2", Port(takes=1.0), cycle=False, held_up=print))
        third = asyncio.create_task(power_on(gate, "node3", Port(takes=1.0), cycle=False, held_up=print))
        asyncio.get_running_loop().call_later(1.0, gate.done, "node1")
        await asyncio.sleep(seconds)
        first.cancel()
        second.cancel()
        third.cancel()
        await asyncio.wait({first, second, third})
        gate.done("node1")
        await power_on(gate, "node4", Port(), cycle=False, held_up=print)
        assert now() <= seconds + 1.0 + TINY

    clock.run(story())


def test_a_weak_supply_stops_the_line_and_says_so() -> None:
    async def story() -> None:
        weak = ["the head has under-voltage"]
        gate, first, second = Gate(Limits(), lambda: weak[0]), Port(), Port()
        said: list[Problem] = []
        asyncio.get_running_loop().call_later(7.0, weak.__setitem__, 0, "")
        await asyncio.gather(
            power_on(gate, "node1", first, cycle=False, held_up=said.append),
            power_on(gate, "node2", second, cycle=False, held_up=said.append),
        )
        assert first.times[0] >= 7.0
        assert second.times[0] >= first.times[0] + 1.0
        assert set(said) == {Problem(Code.UNDERVOLTAGE, "the head has under-voltage")}

    clock.run(story())


def test_a_slot_whose_cycles_are_spent_says_how_long_it_waits() -> None:
    async def story() -> None:
        gate = Gate(Limits(cycles_per_hour=2, cycle_every=30.0), strong)
        said: list[Problem] = []
        for _ in range(3):
            await power_on(gate, "node1", Port(), cycle=True, held_up=said.append)
        why = "2 power cycles in an hour are enough; on in 3570 s"
        assert said == [Problem(Code.CYCLES_SPENT, why)]

    clock.run(story())


def test_a_port_stays_dark_for_its_time_whoever_wants_it_on() -> None:
    async def story() -> None:
        gate, port = Gate(Limits(off_time=5.0), strong), Port()
        gate.went_dark("node1")
        await asyncio.sleep(2)
        await power_on(gate, "node1", port, cycle=False, held_up=print)
        assert port.times == [5.0]

    clock.run(story())


# -- any slots, in any order ----------------------------------------------------------------------------


class Cluster:
    """Slots that power on, boot for a while, fail, go dark, give up and start over, and what came of it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.limits = Limits(
            stagger=dice.choice([0.1, 1.0, 7.0]),
            cold_boots=dice.randint(1, 4),
            cycle_every=dice.choice([5.0, 30.0, 300.0]),
            cycles_per_hour=dice.randint(1, 5),
            off_time=dice.choice([0.0, 5.0, 40.0]),
        )
        self.gate = Gate(self.limits, self.undervoltage)
        self.weak = [dice.uniform(0, 600) for _ in range(dice.randint(0, 3))]
        self.cold: set[str] = set()
        self.dark: dict[str, float] = {}
        self.held: list[Problem] = []
        self.on: list[float] = []

    def undervoltage(self) -> str:
        """A few times the supply is too weak for 20 s."""
        return "weak" if any(start <= now() < start + 20 for start in self.weak) else ""

    async def slot(self, name: str) -> None:
        cycles: list[float] = []
        for turn in range(self.dice.randint(1, 6)):
            await asyncio.sleep(self.dice.choice([0.0, 0.5, 5.0, 100.0]))
            port = Port(self.dice.choice([0.0, 0.3, 2.0]), int(self.dice.random() < 0.2))
            cycle = turn > 0 and self.dice.random() < 0.9
            try:
                await self._power_on(name, port, cycle)
            finally:
                cycles += port.times if cycle else []
                self._check(cycles)

    async def _power_on(self, name: str, port: Port, cycle: bool) -> None:
        patience = self.dice.choice([1.0, 10.0, 10_000.0, None])
        try:
            async with asyncio.timeout(patience):
                await power_on(self.gate, name, Watched(self, name, port), cycle, held_up=self.held.append)
        except (PowerError, TimeoutError):
            self.cold.discard(name)
            return
        except asyncio.CancelledError:
            self.cold.discard(name)
            raise
        try:
            await asyncio.sleep(self.dice.choice([0.0, 3.0, 60.0]))
        finally:
            self.cold.discard(name)
            if self.dice.random() < 0.5:
                self.gate.done(name)
            else:
                self.dark[name] = now()
                self.gate.went_dark(name)

    def _check(self, cycles: list[float]) -> None:
        for before, after in itertools.pairwise(cycles):
            assert after - before >= self.limits.cycle_every - TINY
        for first, beyond in zip(cycles, cycles[self.limits.cycles_per_hour :], strict=False):
            assert beyond - first >= HOUR - TINY, "too many cycles in an hour"

    def powers(self, name: str) -> None:
        """The gate lets this slot have power now."""
        assert now() - self.dark.get(name, -HOUR) >= self.limits.off_time - TINY, "not dark for long enough"
        assert not self.undervoltage(), "the supply is too weak"
        if self.on:
            assert now() - self.on[-1] >= self.limits.stagger - TINY, "two at once"
        self.on.append(now())
        self.cold.add(name)
        assert len(self.cold) <= self.limits.cold_boots, "too many cold boots"


@dataclass
class Watched:
    """A port whose cluster sees when it is switched."""

    cluster: Cluster
    name: str
    port: Port
    backend: str = "fake"
    why: str = ""

    def affects(self) -> frozenset[Location]:
        return frozenset()

    async def switch(self, on: bool) -> None:
        self.cluster.powers(self.name)
        await self.port.switch(on)

    async def powered(self) -> bool | None:
        return None


async def live(dice: random.Random) -> int:
    cluster = Cluster(dice)
    slots = [asyncio.create_task(cluster.slot(f"node{n}")) for n in range(dice.randint(2, 7))]
    for slot in slots:
        if dice.random() < 0.2:
            asyncio.get_running_loop().call_later(dice.choice([0.0, 0.1, 1.0, 50.0]), slot.cancel)
    await asyncio.wait(slots)
    for slot in slots:
        if not slot.cancelled():
            slot.result()
    return len(cluster.on)


def test_no_interleaving_breaks_any_limit_of_power() -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    power_ons = sum(clock.run(live(random.Random(seed + number))) for number in range(ROUNDS))
    print(f"seed {seed}, {ROUNDS} interleavings with {power_ons} power-ons")
