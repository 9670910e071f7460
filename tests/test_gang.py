"""Ports that lose and get their power together: what one slot does to its own, the others live through."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.model import Code, Phase
from terrible.sim.cluster import SimCluster, hub_locations
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from tests import clock
from tests.cluster import Rig, boot_directory, cluster
from tests.test_orders import told


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
