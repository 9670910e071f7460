"""One thing goes wrong in one slot: it is over within its limit, and the other slots do not notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.limits import Limits
from terrible.model import Phase
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.faults import Break, Error, Fault, Kind
from terrible.sim.pi import Pi
from tests import clock
from tests.chaos.trouble import MESSAGES, ORDER
from tests.cluster import Rig, boot_directory, cluster

GOOD = ("node1", "node2", "node3")
SLOWER = 1.05


@pytest.fixture
def base(tmp_path: Path) -> Path:
    directory = boot_directory(tmp_path / "boot", kernel=150_000)
    (directory / "start.elf").write_bytes(b"start" * 20_000)
    return directory


def board(*faults: Fault) -> Pi:
    return Pi(faults=faults, order=ORDER)


async def good_ones(base: Path, fourth: Pi, *breaks: Break) -> float:
    """Seconds until three good Pis are up beside this one; none of them loses power."""
    start = asyncio.get_running_loop().time()
    sim = SimCluster(plugged([board(), board(), board(), fourth]))
    list(sim.ports.values())[3].cable.breaks = list(breaks)
    async with cluster(base, [], sim=sim) as rig:
        seconds = await rig.until(Phase.UP, *GOOD) - start
        await asyncio.sleep(600)
        assert [rig.phase(name) for name in GOOD] == [Phase.UP] * 3
        assert [rig.cuts(number) for number in (1, 2, 3)] == [0, 0, 0]
        assert [len(rig.broker.transcripts(name)) for name in GOOD] == [1, 1, 1]
    await sim.close()
    return seconds


@pytest.mark.parametrize("kind", Kind)
def test_no_fault_of_one_slows_the_others(base: Path, kind: Kind) -> None:
    async def story() -> None:
        alone = await good_ones(base, board())
        assert await good_ones(base, board(Fault(kind, times=None))) < alone * SLOWER

    clock.run(story())


@pytest.mark.parametrize("error", Error)
@pytest.mark.parametrize("message", [0, 3, 12])
def test_no_broken_cable_of_one_slows_the_others(base: Path, error: Error, message: int) -> None:
    async def story() -> None:
        alone = await good_ones(base, board())
        assert await good_ones(base, board(), Break(message, error, times=None)) < alone * SLOWER

    clock.run(story())


# -- every message of a boot, every way in which a transfer fails ---------------------------------------


async def messages(base: Path) -> int:
    sim = SimCluster(plugged([board()]))
    async with cluster(base, [], sim=sim) as rig:
        await rig.until(Phase.UP)
    (port,) = sim.ports.values()
    await sim.close()
    return port.cable.messages


async def broken(base: Path, message: int, error: Error) -> None:
    """Two Pis, one with a cable that fails once; that one is up after at most one power cycle."""
    sim = SimCluster(plugged([board(), board()]))
    sick = list(sim.ports.values())[1]
    sick.cable.breaks = [Break(message, error)]
    limits = Limits()
    async with cluster(base, [], sim=sim) as rig:
        await rig.until(Phase.UP, "node1")
        await rig.broker.until(lambda: bool(rig.broker.transcripts("node2")))
        first = rig.broker.transcripts("node2")[0]
        assert all(stage.seconds <= longest_stage(limits) for stage in first.stages)
        await resolved(rig, error)
        assert sick.cuts == (first.outcome == "failed")
        assert rig.cuts(1) == 0
        assert len(rig.broker.transcripts("node1")) == 1
    await sim.close()


def longest_stage(limits: Limits) -> float:
    """Seconds of one stage in which one transfer fails, or after which nothing follows."""
    return max(limits.control_in + 5.0, limits.loader_to_gadget)


async def resolved(rig: Rig, error: Error) -> None:
    """Up; a device that left in the middle is not told from one that was pulled out, and waited for."""
    if error is Error.GONE and rig.broker.transcripts("node2")[0].outcome == "left":
        await asyncio.sleep(600)
        assert rig.phase("node2") is Phase.WAITING
    else:
        await rig.until(Phase.UP, "node2")


@pytest.mark.parametrize("error", Error)
def test_any_message_may_fail(base: Path, error: Error) -> None:
    count = clock.run(messages(base))
    assert 20 < count < MESSAGES
    for message in range(count):
        clock.run(broken(base, message, error))
