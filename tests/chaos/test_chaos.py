"""Everything at once, from a seed: whatever happens, the promises of recovery hold.

SEED=n runs one seed alone and says what happened in it.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from terrible.limits import Limits
from terrible.state import State
from tests import clock
from tests.chaos import trouble
from tests.chaos.bound import settles
from tests.chaos.trouble import MESSAGES, People, Trouble
from tests.chaos.watch import Watched
from tests.cluster import Rig, boot_directory, cluster

SEEDS = 20_000 if os.environ.get("LONG") == "1" else 1_000
LOOK = 60.0
"""Seconds between two looks at every slot."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Small files: what is tested here is not bandwidth."""
    directory = boot_directory(tmp_path / "boot", kernel=150_000)
    (directory / "start.elf").write_bytes(b"start" * 20_000)
    return directory


async def live(seed: int, base: Path) -> tuple[list[str], list[str]]:
    """One cluster, its troubles, and the time it takes to recover; what was done, and what was broken."""
    dice = random.Random(seed)
    sim, limits = trouble.sick_cluster(dice), trouble.limits(dice)
    outside = asyncio.all_tasks()
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(base, [], limits=limits, state=State(None), sim=sim) as rig:
            people = People(rig)
            sim.watch.wished = people.wished
            happening = Trouble(dice, rig, sim, people, patch)
            watching = asyncio.create_task(watch(rig, sim, limits))
            for _ in range(dice.randint(1, 8)):
                await asyncio.sleep(dice.expovariate(1 / dice.choice([1.0, 10.0, 100.0])))
                await happening.strike()
            await asyncio.sleep(settles(limits, len(sim.ports), MESSAGES))
            for life in rig.agent.lives.values():
                sim.watch.end(life.standing.report)
            watching.cancel()
            await asyncio.wait({watching})
            if not watching.cancelled():
                watching.result()
    await sim.close()
    if left := asyncio.all_tasks() - outside:
        sim.watch.broken.append(f"tasks left: {sorted(task.get_name() for task in left)}")
    return happening.done, sim.watch.broken


async def watch(rig: Rig, sim: Watched, limits: Limits) -> None:
    """Look at every slot now and then."""
    while True:
        now = asyncio.get_running_loop().time()
        sim.watch.identity(rig.slots)
        for life in rig.agent.lives.values():
            sim.watch.progress(life.standing.report, now, limits, MESSAGES)
        if stuck := rig.agent.stuck:
            sim.watch.broken.append(f"{stuck} wait longer than their own limits")
        await asyncio.sleep(LOOK)


def test_whatever_happens_the_promises_of_recovery_hold(base: Path) -> None:
    start = int(os.environ.get("SEED", random.randrange(10**6)))
    seeds = range(start, start + (1 if "SEED" in os.environ else SEEDS))
    print(f"seeds {seeds.start} to {seeds.stop - 1}")
    descriptors = open_descriptors()
    for seed in seeds:
        done, broken = clock.run(live(seed, base))
        assert not broken, f"SEED={seed}: {broken}\nafter {done}"
    assert open_descriptors() == descriptors


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
