"""Ending in order before a cut, the watchdog of a slot that has one, and latches that only people clear."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.limits import Limits
from terrible.model import Event, Info, Location, Phase
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.pi import Pi
from terrible.state import State
from tests import clock
from tests.cluster import Rig, boot_directory, cluster
from tests.test_slot import answers


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


def events(rig: Rig, kind: str) -> list[Event]:
    return [news for news in rig.broker.news if isinstance(news, Event) and news.kind == kind]


def now() -> float:
    return asyncio.get_running_loop().time()


# -- shutdown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["off", "cycle"])
def test_a_node_may_end_in_order_before_its_power_is_cut(base: Path, action: str) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            gadget = rig.agent.lives[Location("1-1.1")].port.device
            assert gadget is not None
            rig.broker.ask("power", "node1", action)
            await gadget.left()
            assert rig.cuts(1) == 0, "it left by itself"
            await rig.until(Phase.OFF)
            assert rig.cuts(1) == 1
            await answers(rig.broker)

    clock.run(story())


def test_force_cuts_at_once(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            began = await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "off", force=True)
            assert await rig.until(Phase.OFF) - began < 0.5

    clock.run(story())


def test_a_node_that_does_not_end_is_cut_after_its_time(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("hang")
            began = await rig.until(Phase.LOST)
            rig.broker.ask("power", "node1", "off")
            assert await rig.until(Phase.OFF) - began == pytest.approx(Limits().shutdown, abs=1)
            assert [event.message for event in events(rig, "shutdown")] == ["it did not shut down in 30 s"]

    clock.run(story())


def test_nobody_is_shut_down_whose_power_cannot_be_cut(base: Path) -> None:
    """It would be off for good, with nobody to switch it on again."""

    async def story() -> None:
        async with cluster(base, [Pi(), Pi()], ganged=True) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "cycle")
            assert (await answers(rig.broker))[-1].code == "power_protected"
            await asyncio.sleep(60)
            assert rig.phase("node1") is Phase.UP
            assert {transcript.outcome for transcript in rig.broker.transcripts("node1")} == {"up"}
            assert rig.cuts(1) == 0

    clock.run(story())


# -- the watchdog -----------------------------------------------------------------------------------


def test_a_node_that_hangs_is_cycled_where_its_watchdog_is_on(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()], watchdog=True) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("hang")
            began = await rig.until(Phase.LOST)
            await rig.broker.until(lambda: rig.cuts(1) == 1)
            assert now() - began == pytest.approx(Limits().watchdog, abs=1)
            await rig.until(Phase.UP)
            assert [event.message for event in events(rig, "watchdog")] == ["no answer for 120 s"]

    clock.run(story())


def test_a_busy_link_is_no_reason_to_bite(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()], watchdog=True) as rig:
            await rig.until(Phase.UP)
            for _ in range(30):
                rig.pi(1).tell("hang")
                await rig.until(Phase.LOST)
                await asyncio.sleep(Limits().watchdog - 1)
                rig.pi(1).tell("recover")
                await rig.until(Phase.UP)
            assert rig.cuts(1) == 0

    clock.run(story())


def test_without_a_watchdog_a_node_may_hang_for_ever(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("hang")
            await rig.until(Phase.LOST)
            await asyncio.sleep(24 * 3600)
            assert (rig.phase("node1"), rig.cuts(1)) == (Phase.LOST, 0)

    clock.run(story())


def test_a_watchdog_that_may_not_cut_says_so_and_waits_for_an_answer(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi()], watchdog=True, ganged=True) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("hang")
            await rig.broker.until(lambda: bool(events(rig, "watchdog")))
            await asyncio.sleep(3600)
            assert len(events(rig, "watchdog")) == 1
            report = rig.broker.last("node1")
            assert report is not None
            assert report.problem is not None
            assert report.problem.code == "power_protected"
            assert rig.phase("node2") is Phase.UP
            rig.pi(1).tell("recover")
            await rig.until(Phase.UP)

    clock.run(story())


# -- over-current -----------------------------------------------------------------------------------


def test_over_current_latches_the_slot_until_a_person_releases_it(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        state, sim = State(tmp_path / "state.json"), SimCluster(plugged([Pi(), Pi()]))
        async with cluster(base, [], sim=sim, state=state) as rig:
            await rig.until(Phase.UP)
            began = now()
            rig.alarms.draw_too_much(Location("1-1.1"))
            assert await rig.until(Phase.OFF, "node1") - began < 0.5, "nobody is asked to shut down now"
            for number, action in enumerate(("on", "cycle"), start=1):
                rig.broker.ask("power", "node1", action, number=str(number))
            rig.broker.ask("boot", "node1", number="3")
            assert [a.code for a in await answers(rig.broker, 3)] == ["overcurrent"] * 3
            await asyncio.sleep(24 * 3600)
            report = rig.broker.last("node1")
            assert report is not None
            assert report.problem is not None
            assert (report.phase, report.problem.code, report.wish) == (Phase.OFF, "overcurrent", True)
            assert rig.phase("node2") is Phase.UP
        again = State(tmp_path / "state.json")
        async with cluster(base, [], sim=sim, state=again) as rig:
            await rig.until(Phase.UP, "node2")
            await asyncio.sleep(3600)
            assert rig.phase("node1") is Phase.OFF, "it holds over a restart"
            rig.broker.ask("release", "node1")
            await rig.until(Phase.UP, "node1")
        assert State(tmp_path / "state.json").latch("node1") is None

    clock.run(story())


def test_an_over_current_elsewhere_is_nobodys_latch(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            rig.alarms.draw_too_much(Location("1-1.4"))
            await rig.until(Phase.UP)

    clock.run(story())


# -- power that comes back unasked ------------------------------------------------------------------


def test_a_port_that_gets_power_unasked_is_cut_again(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "off", force=True)
            await rig.until(Phase.OFF)
            port = rig.cluster.ports[Location("1-1.1")]
            for cuts in (2, 3, 4):
                await asyncio.sleep(600)
                await port.power(True)
                await asyncio.sleep(30)
                assert rig.cuts(1) == cuts
                assert not port.lit
                assert rig.phase("node1") is Phase.OFF
            assert rig.broker.phases("node1")[-1] is Phase.OFF

    clock.run(story())


# -- under-voltage ----------------------------------------------------------------------------------


def test_under_voltage_stops_the_stagger_and_is_published(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.alarms.weak = "the head reports under-voltage"
            rig.broker.ask("power", "node1", "cycle", force=True)
            await rig.broker.until(
                lambda: (
                    (last := rig.broker.last("node1")) is not None
                    and last.problem is not None
                    and last.problem.code == "undervoltage"
                )
            )
            await asyncio.sleep(3600)
            assert (rig.phase("node1"), rig.phase("node2")) == (Phase.OFF, Phase.UP)
            rig.alarms.weak = ""
            await rig.until(Phase.UP)
            report = rig.broker.last("node1")
            assert report is not None
            assert report.problem is None

    clock.run(story())


# -- what is remembered -----------------------------------------------------------------------------


def test_a_state_file_that_fails_is_published_and_stops_nothing(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        damaged = tmp_path / "state" / "state.json"
        damaged.parent.mkdir()
        damaged.write_text("{")
        async with cluster(base, [Pi()], state=State(damaged)) as rig:
            await rig.until(Phase.UP)
            assert "kept as state.damaged" in problems(rig)[-1]
            rig.broker.ask("power", "node1", "off", force=True)
            await rig.until(Phase.OFF)
            assert problems(rig)[-1] == "", "it could be written"
            damaged.unlink()
            damaged.parent.joinpath("state.damaged").unlink()
            damaged.parent.rmdir()
            damaged.parent.write_text("in the way")
            rig.broker.ask("power", "node1", "on")
            await rig.until(Phase.UP)
            assert "cannot remember wishes" in problems(rig)[-1]

    clock.run(story())


def problems(rig: Rig) -> list[str]:
    """What `info` said was wrong with the head, from first to last."""
    return [n.problem.message if n.problem else "" for n in rig.broker.news if isinstance(n, Info)]
