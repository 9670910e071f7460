"""Boot after boot: nothing grows, and next to nothing is written to the card that the head lives on."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terrible.model import Phase
from terrible.sim.pi import Pi
from terrible.state import State
from tests import clock
from tests.chaos.trouble import ORDER
from tests.cluster import Rig, boot_directory, cluster

LONG = os.environ.get("LONG") == "1"
BOOTS = 10_000 if LONG else 500
WARM = 100
"""Boots until caches, pools and the digests' memory are filled."""
NODES = 4
SAMPLES = 40
OBJECTS, RSS = 0.2, 256 if LONG else 2048
"""Most that one boot may leave behind: objects the collector knows, bytes of RSS (a transcript has 5 kB)."""
BLOCK = 4096
BOOTS_A_DAY = NODES * 24 * 6
WISHES_A_DAY = NODES * 24
"""Real rates, generously: every node reboots every ten minutes, somebody switches each once an hour."""
MEGABYTE = 1e6


@dataclass(frozen=True)
class Sample:
    """What the agent holds after so many boots."""

    boots: int
    tasks: int
    descriptors: int
    objects: int
    rss: int


def sample(boots: int) -> Sample:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    tasks, descriptors = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    return Sample(boots, tasks, descriptors, len(gc.get_objects()), pages * os.sysconf("SC_PAGESIZE"))


def written() -> tuple[int, int]:
    """What this process gave to write(2): bytes, and calls."""
    counted = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counted["wchar"]), int(counted["syscw"])


def since(before: tuple[int, int]) -> float:
    """Bytes written since then, where each call costs at least a block of a card."""
    count, calls = written()
    return max(count - before[0], BLOCK * (calls - before[1]))


def slope(samples: Sequence[Sample], what: str) -> float:
    """How much more of it there is with each boot."""
    return statistics.linear_regression(
        [taken.boots for taken in samples], [getattr(taken, what) for taken in samples]
    ).slope


async def reboot_all(rig: Rig) -> None:
    """Every node boots once more, and what was said of it is forgotten."""
    pis = [rig.pi(slot.number) for slot in rig.slots]
    for pi in pis:
        pi.tell("reboot")
    await asyncio.gather(*(pi.answering(False) for pi in pis))
    await asyncio.gather(*(pi.answering(True) for pi in pis))
    await asyncio.sleep(1)
    rig.broker.news.clear()


async def boots(rig: Rig, count: int) -> list[Sample]:
    every = max(1, count // NODES // SAMPLES)
    samples = []
    for turn in range(count // NODES):
        await reboot_all(rig)
        if turn % every == 0:
            samples.append(sample(turn * NODES))
    return samples


async def wishes(rig: Rig, count: int) -> None:
    """Somebody switches nodes off and on."""
    for number in range(count):
        for action, phase in (("off", Phase.OFF), ("on", Phase.UP)):
            rig.broker.ask("power", "node1", action, force=True, number=f"{action}{number}")
            await rig.until(phase, "node1")
            await asyncio.sleep(60)


def test_boot_after_boot_nothing_grows_and_next_to_nothing_is_written(tmp_path: Path) -> None:
    async def story() -> None:
        base = boot_directory(tmp_path / "boot", kernel=150_000)
        (base / "start.elf").write_bytes(b"start" * 20_000)
        state = State(tmp_path / "state.json")
        async with cluster(base, [Pi(order=ORDER) for _ in range(NODES)], state=state) as rig:
            await rig.until(Phase.UP)
            await boots(rig, WARM)
            before = written()
            samples = await boots(rig, BOOTS)
            for_boots, before = since(before) / BOOTS, written()
            await wishes(rig, 10)
            for_wishes = since(before) / 10
        a_day = for_boots * BOOTS_A_DAY + for_wishes * WISHES_A_DAY
        print(f"{BOOTS} boots, {for_boots:.1f} B/boot, {for_wishes:.0f} B/wish, {a_day / 1e6:.3f} MB a day")
        print(f"{slope(samples, 'objects'):+.3f} objects/boot, {slope(samples, 'rss'):+.1f} B RSS/boot")
        assert len({taken.tasks for taken in samples}) == 1
        assert len({taken.descriptors for taken in samples}) == 1
        assert slope(samples, "objects") < OBJECTS
        assert slope(samples, "rss") < RSS
        assert 0 < a_day < MEGABYTE

    clock.run(story())
