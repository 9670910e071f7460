"""Ports that lose and get their power together: what one slot does to its own, the others live through."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.errors import Code
from terrible.limits import Limits
from terrible.model import Phase
from terrible.sim.cluster import SimCluster, hub_locations
from terrible.sim.faults import HEAL_EVERY, Fault, Hearing, Kind
from terrible.sim.pi import Pi, Timing
from tests import clock
from tests.cluster import Rig, boot_directory, cluster
from tests.test_orders import told

HOUR = 3600.0


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


def gang(*pis: Pi | None) -> SimCluster:
    return SimCluster(dict(zip(hub_locations("1-1", len(pis)), pis, strict=True)), ganged=True)


def said(rig: Rig, name: str) -> tuple[Phase, Code | None, bool | None]:
    report = rig.broker.last(name)
    assert report is not None
    return report.phase, report.problem.code if report.problem else None, report.power


def hopeless(kind: Kind = Kind.ROM_REJECTS) -> Pi:
    return Pi(faults=[Fault(kind, times=None)])


# -- what is said -----------------------------------------------------------------------------------


def test_a_slot_stays_quarantined_for_its_reason_whatever_others_do_to_its_power(base: Path) -> None:
    async def story() -> None:
        sim = gang(None, hopeless())
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.QUARANTINED, "node2")
            await asyncio.sleep(60)
            assert said(rig, "node2") == (Phase.QUARANTINED, Code.BOOT_FAILED, False)
            sim.ports[rig.slots[1].location].pi = None
            assert await told(rig, "power", "node1", "cycle") == ["accepted", "boot_failed"]
            assert said(rig, "node2") == (Phase.QUARANTINED, Code.BOOT_FAILED, True)

    clock.run(story())


def test_a_latch_is_said_whatever_others_do_to_its_power(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=gang(None, None)) as rig:
            await asyncio.sleep(60)
            rig.alarms.draw_too_much(rig.slots[1].location)
            await rig.until(Phase.OFF, "node2")
            await told(rig, "power", "node1", "cycle")
            assert said(rig, "node2") == (Phase.OFF, Code.OVERCURRENT, True)

    clock.run(story())


# -- who boots --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rom", [0.2, 0.4, 2.0])
def test_a_slot_that_is_off_lets_its_neighbour_boot(base: Path, rom: float) -> None:
    """It shows up before, with, or after the other, and may not be cut while that one may yet come."""

    async def story() -> None:
        async with cluster(base, [], sim=gang(Pi(), Pi(timing=Timing(rom=rom)))) as rig:
            await rig.until(Phase.UP)
            assert (await told(rig, "power", "all", "off", force=True))[-1] == "done"
            await asyncio.sleep(60)
            rig.broker.ask("power", "node2", "on")
            await asyncio.sleep(600)
            assert rig.phase("node2") is Phase.UP

    clock.run(story())


@pytest.mark.parametrize("rom", [0.2, 0.4, 2.0])
@pytest.mark.parametrize("kind", [Kind.ROM_REJECTS, Kind.BOOTCODE_STALLS])
def test_a_pi_that_never_boots_does_not_keep_its_neighbour_from_it(
    base: Path, kind: Kind, rom: float
) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=gang(hopeless(kind), Pi(timing=Timing(rom=rom)))) as rig:
            await asyncio.sleep(600)
            assert said(rig, "node1")[0] is Phase.QUARANTINED
            assert rig.phase("node2") is Phase.UP

    clock.run(story())


@pytest.mark.parametrize("one", [Kind.ROM_REJECTS, Kind.LOADER_SILENT])
@pytest.mark.parametrize("other", [Kind.ROM_REJECTS, Kind.BOOTCODE_STALLS, Kind.STALLS_AFTER_START])
def test_two_that_never_boot_do_not_wake_each_other_for_ever(base: Path, one: Kind, other: Kind) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=gang(hopeless(one), hopeless(other))) as rig:
            await asyncio.sleep(HOUR)
            cuts = rig.cuts(1)
            await asyncio.sleep(24 * HOUR)
            assert rig.cuts(1) == cuts
            assert [said(rig, name) for name in ("node1", "node2")] == [
                (Phase.QUARANTINED, Code.BOOT_FAILED, False)
            ] * 2

    clock.run(story())


def test_a_pi_that_has_its_power_from_a_neighbour_does_not_wait_for_its_own_turn(base: Path) -> None:
    """Its cycles of this hour are spent, but its ROM is there: it is served, not left alone for an hour."""

    async def story() -> None:
        sim = gang(Pi(faults=[Fault(Kind.ROM_REJECTS, times=2)]), None)
        async with cluster(base, [], sim=sim, limits=Limits(cycles_per_hour=1)) as rig:
            await rig.broker.until(lambda: bool(rig.broker.news) and said(rig, "node1")[1] == "cycles_spent")
            began = asyncio.get_running_loop().time()
            rig.broker.ask("power", "node2", "cycle")
            assert await rig.until(Phase.UP, "node1") - began < 60

    clock.run(story())


def test_an_empty_port_keeps_nobody_lit(base: Path) -> None:
    """Something might have come there just after the power did, so the cut is tried again."""

    async def story() -> None:
        async with cluster(base, [], sim=gang(hopeless(), None)) as rig:
            await rig.until(Phase.QUARANTINED, "node1")
            await asyncio.sleep(60)
            assert said(rig, "node1") == (Phase.QUARANTINED, Code.BOOT_FAILED, False)

    clock.run(story())


# -- who runs ---------------------------------------------------------------------------------------


class Deaf(Hearing):
    """Every arrival is missed by both ears and one look."""

    def arrival(self) -> float:
        return 2 * HEAL_EVERY


@pytest.mark.parametrize(("phase", "order"), [(Phase.UP, "recover"), (Phase.STARTING, "hang")])
def test_a_node_whose_return_to_the_bus_was_missed_is_not_cut(base: Path, phase: Phase, order: str) -> None:
    """A hub was reset: the node runs on, and until it is heard of again the port seems to be empty."""

    async def story() -> None:
        sim = gang(Pi(), None)
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.STARTING, "node1")
            rig.pi(1).tell(order)
            await asyncio.sleep(60)
            assert rig.phase("node1") is phase
            sim.bus.hearing = Deaf()
            await sim.ports[rig.slots[0].location].reset()
            sim.bus.hearing = Hearing()
            await asyncio.sleep(2 * HEAL_EVERY - 1)
            empty = sim.ports[rig.slots[1].location]
            empty.pi = hopeless()
            empty.start()
            await rig.until(Phase.QUARANTINED, "node2")
            assert (rig.phase("node1"), rig.cuts(1)) == (phase, 0)

    clock.run(story())
