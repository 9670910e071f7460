"""A whole soak: every slot cycled on its own, side by side, until the plan is fulfilled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from terrible import slots
from terrible.errors import HostError, UsageError
from terrible.remote.heard import Introduction
from terrible.soak.cycle import Bench, Gone, Head
from terrible.soak.record import Cycle
from terrible.soak.view import View

REFUSALS = 3
"""Cycles refused in a row, after which a slot is left out of the rest."""
REFUSED = 30.0
"""Seconds until a slot is asked again that was refused."""
MEET = 15.0
"""Seconds to hear of the agent and its slots."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to go on: so many cycles of each slot that count, or so many hours (no new one after)."""

    pattern: str
    cycles: int | None
    hours: float | None
    force: bool


@dataclass
class Book:
    """All that a soak has found: each cycle as it ends, and what cut it short, by slot."""

    write: Callable[[Cycle], None]
    cycles: list[Cycle] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, cycle: Cycle) -> None:
        """Take down a cycle."""
        self.cycles.append(cycle)
        self.write(cycle)


async def meet(view: View, cluster: str) -> Introduction:
    """The agent, once it has said who it is and how its slots stand. HostError where there is none."""
    end = asyncio.get_running_loop().time() + MEET
    while not view.complete:
        limit = end - asyncio.get_running_loop().time()
        if limit <= 0 or not await view.change(limit):
            raise HostError(f"no agent of the cluster {cluster} in {MEET:g} s; does it run?")
    assert view.info is not None
    return view.info


def choose(plan: Plan, view: View, info: Introduction) -> list[str]:
    """The slots to cycle. UsageError for one that there is not, has no switch, or is off by wish."""
    try:
        names = slots.expand(plan.pattern, info.names)
    except (ValueError, slots.UnknownSlot) as error:
        raise UsageError(f"SLOTS: {error}") from None
    if not names:
        raise UsageError("SLOTS: the agent has no slots; is its hub configured?")
    for name in names:
        if info.power.get(name) == "none":
            why = info.power_why.get(name, "nothing switches its port")
            raise UsageError(f"SLOTS: {name} cannot be power-cycled: {why}; choose others")
        standing = view.standing(name)
        if standing is not None and standing.wish == "off":
            raise UsageError(f"SLOTS: {name} is switched off by wish; switch it on first, or choose others")
    return names


async def soak(head: Head, names: Sequence[str], plan: Plan, book: Book) -> None:
    """Cycle all of them. What was done so far is in the book, also when this is cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(_slot(head, name, plan, book), name=f"soak {name}")


async def _slot(head: Head, name: str, plan: Plan, book: Book) -> None:
    now = asyncio.get_running_loop().time
    end = now() + plan.hours * 3600 if plan.hours is not None else float("inf")
    bench = Bench(head, name, plan.force, book.add)
    number = counted = refused = 0
    await bench.settle()
    while now() < end and (plan.cycles is None or counted < plan.cycles):
        number += 1
        try:
            found = await bench.cycle(number)
        except Gone as gone:
            book.notes.append(f"{name} ended after {counted} cycles: {gone}")
            return
        counted += found.outcome != "interrupted"
        refused = refused + 1 if found.outcome == "refused" else 0
        if refused == REFUSALS:
            book.notes.append(f"{name} ended after {counted} cycles: {found.diagnosis}")
            return
        await _rest(bench, found.outcome)


async def _rest(bench: Bench, outcome: str) -> None:
    """What a slot needs between two cycles."""
    if outcome == "refused":
        await asyncio.sleep(REFUSED)
    elif outcome == "interrupted":
        await bench.settle()
