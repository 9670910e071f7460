"""Whatever keeps one node from showing its card, the cards of the others are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from terrible.errors import Code
from terrible.limits import Limits
from terrible.model import CardNews, Phase
from terrible.seams import Card
from terrible.sim.cluster import SimCluster
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from terrible.state import State
from tests import clock
from tests.cluster import IMAGE, boot_directory, cluster
from tests.test_flashing import flashed

SOON = 900.0
"""Seconds: three attempts of a slot, and the writing."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


def test_a_node_that_starts_over_and_over(base: Path) -> None:
    async def story() -> None:
        restless = Pi()
        async with cluster(base, [Pi(), restless]) as rig:
            await rig.until(Phase.UP)
            restless.faults = [Fault(Kind.ROM_AGAIN, times=None)]
            async with asyncio.timeout(SOON):
                last = (await flashed(rig, "all"))[-1]
            assert last.data["failed"].keys() == {"node2"}
            assert "started over" in last.message
            assert rig.disks.cards == {"node1": IMAGE}

    clock.run(story())


def test_a_node_whose_power_cycles_are_spent(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi()], limits=Limits(cycles_per_hour=2)) as rig:
            await rig.until(Phase.UP)
            for _ in range(2):
                rig.broker.ask("power", "node2", "cycle")
                await rig.until(Phase.STARTING, "node2")
                await rig.until(Phase.UP)
            async with asyncio.timeout(SOON):
                last = (await flashed(rig, "all"))[-1]
            assert last.data["failed"]["node2"]["code"] == Code.CYCLES_SPENT
            assert rig.disks.cards == {"node1": IMAGE}

    clock.run(story())


def test_a_head_whose_supply_is_too_weak(base: Path) -> None:
    """It may be that for as long as the nodes that show their cards already draw from it."""

    async def story() -> None:
        async with cluster(base, [Pi(), Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("flash", "all", image=IMAGE, number="7")
            await rig.until(Phase.ROM, "node1")
            rig.alarms.weak = "the supply is weak"
            async with asyncio.timeout(SOON):
                await rig.broker.until(
                    lambda: any(a.status == "error" for r, a in rig.broker.answers if r.id == "7")
                )
            last = rig.broker.answers[-1][1]
            assert {name: why["code"] for name, why in last.data["failed"].items()} == {
                "node2": Code.UNDERVOLTAGE
            }
            assert rig.disks.cards == {"node1": IMAGE}

    clock.run(story())


def test_firmware_that_is_none_and_a_node_that_never_answers(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names the boot files as `mass_storage` has a Linux that comes up, or waits in its initramfs."""

    async def story() -> None:
        boot_directory(base.parent / "mass-storage")
        mute = Pi()
        async with cluster(base, [Pi(), mute]) as rig:
            await rig.until(Phase.UP)
            answering = SimCluster.reachable

            async def reachable(*asked: object) -> tuple[str, ...]:
                if mute.running and asked[1] == rig.slots[1]:
                    await asyncio.Event().wait()
                return await answering(*asked)  # type: ignore[arg-type]

            monkeypatch.setattr(SimCluster, "reachable", reachable)
            async with asyncio.timeout(SOON):
                last = (await flashed(rig, "all"))[-1]
            assert "not as a disk" in last.data["failed"]["node1"]["message"]
            assert last.data["failed"]["node2"]["code"] == Code.UNREACHABLE

    clock.run(story())


def test_an_error_of_our_own_ends_the_job_and_not_the_agent(base: Path, tmp_path: Path) -> None:
    async def fails(image: str, cards: Sequence[Card]) -> AsyncIterator[CardNews]:
        raise ValueError("what the writer says makes no sense")
        yield

    async def story() -> None:
        state = State(tmp_path / "state.json")
        async with cluster(base, [Pi(), Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.disks.write = fails  # type: ignore[method-assign]
            last = (await flashed(rig, "node1"))[-1]
            assert (last.code, last.data["failed"].keys()) == (Code.DIRTY_CARD, {"node1"})
            await rig.until(Phase.OFF, "node1")
            rig.broker.ask("power", "node2", "cycle")
            await rig.until(Phase.STARTING, "node2")
            await rig.until(Phase.UP, "node2")

    clock.run(story())
