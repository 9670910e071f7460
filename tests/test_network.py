"""What the network tells of nodes and of itself is said where it belongs, as long as it is so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from terrible.errors import Code, Problem
from terrible.model import Info, NetworkNews, Phase, Slot
from terrible.seams import Device
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.pi import Pi
from tests import clock
from tests.cluster import Rig, boot_directory, cluster

CLONE = Problem(Code.CONFLICT, "it has the MAC of node1")
CLASH = Problem(Code.NETWORK, "10.42.0.0/24 clashes")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


class Told(SimCluster):
    """A network that tells what it is told to tell, and whose steps take a second each."""

    def __init__(self, pis: list[Pi]) -> None:
        super().__init__(plugged(pis))
        self.queue: asyncio.Queue[NetworkNews] = asyncio.Queue()

    async def reachable(self, slot: Slot, device: Device, passed: Callable[[str], None]) -> tuple[str, ...]:
        await self._answering(slot, True)
        for step in ("carrier", "address", "ping"):
            await asyncio.sleep(1)
            passed(step)
        return (slot.address,)

    async def news(self) -> AsyncIterator[NetworkNews]:
        while True:
            yield await self.queue.get()


def info(rig: Rig) -> Info:
    return [news for news in rig.broker.news if isinstance(news, Info)][-1]


def test_each_step_to_up_is_in_the_transcript(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=Told([Pi()])) as rig:
            await rig.until(Phase.UP)
            await rig.broker.until(lambda: bool(rig.broker.transcripts("node1")))
            steps = rig.broker.transcripts("node1")[0].network
            assert [step.stage for step in steps] == ["carrier", "address", "ping"]
            assert [step.seconds for step in steps] == pytest.approx([1, 1, 1], abs=0.01)

    clock.run(story())


def test_a_conflict_is_the_problem_of_its_slot_until_it_is_over(base: Path) -> None:
    async def story() -> None:
        sim = Told([Pi(), Pi()])
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)

            def problem(name: str) -> Problem | None:
                report = rig.broker.last(name)
                assert report is not None
                return report.problem

            sim.queue.put_nowait(NetworkNews("10.42.0.1/24", conflicts={"node2": CLONE}))
            await rig.broker.until(lambda: problem("node2") == CLONE)
            assert (rig.phase("node2"), problem("node1")) == (Phase.UP, None)
            last = rig.broker.last("node2")
            assert last is not None
            assert last.addresses == ("10.42.0.12",), "what is known of it stays known"
            sim.queue.put_nowait(NetworkNews("10.42.0.1/24"))
            await rig.broker.until(lambda: problem("node2") is None)

    clock.run(story())


def test_a_conflict_does_not_hide_what_else_is_wrong(base: Path) -> None:
    async def story() -> None:
        sim = Told([Pi()])
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)
            (base / "bootcode.bin").unlink()
            sim.queue.put_nowait(NetworkNews("10.42.0.1/24", conflicts={"node1": CLONE}))
            rig.broker.ask("power", "node1", "cycle", force=True)
            await rig.until(Phase.FAILED)
            last = rig.broker.last("node1")
            assert last is not None
            assert last.problem is not None
            assert last.problem.code is Code.MISSING_FILE

    clock.run(story())


def test_what_is_wrong_with_the_whole_is_said_of_the_head(base: Path) -> None:
    async def story() -> None:
        sim = Told([Pi()])
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)
            sim.queue.put_nowait(NetworkNews("10.43.0.1/24", "terrible0", "wlan0", CLASH))
            await rig.broker.until(lambda: info(rig).problem == CLASH)
            told = info(rig)
            assert (told.subnet, told.bridge, told.uplink) == ("10.43.0.1/24", "terrible0", "wlan0")
            sim.queue.put_nowait(NetworkNews("10.43.0.1/24", "terrible0", "eth0"))
            await rig.broker.until(lambda: info(rig).problem is None)
            assert info(rig).uplink == "eth0"

    clock.run(story())


def test_a_simulated_cluster_has_a_network_too(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            assert info(rig).subnet == "10.42.0.1/24"
            assert rig.phase("node1") is Phase.UP

    clock.run(story())
