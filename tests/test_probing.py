"""A probe by the running agent: what it finds is remembered, nobody is hurt, and every Pi is served."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terrible.errors import Code
from terrible.limits import Limits
from terrible.model import Answer, Event, Info, Location, Phase, Stage
from terrible.sim.cluster import SimCluster, hub_locations, plugged
from terrible.sim.families import ZERO
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from terrible.sim.port import SimPort
from terrible.sim.prober import OFF
from terrible.state import State
from tests import clock
from tests.cluster import Rig, boot_directory, cluster
from tests.test_orders import told

HERE = Location("1-1.1")
FAST = Limits(stagger=0.1, cycle_every=1.0)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


async def probed(rig: Rig, slots: str, *, force: bool = False) -> Answer:
    """The last answer to a new request."""
    await told(rig, "probe", slots, force=force)
    return rig.broker.answers[-1][1]


def verdict(answer: Answer, slot: str = "node1") -> dict[str, Any]:
    assert answer.status == "done", answer
    return dict(answer.data["verdicts"][slot])


def refused(answer: Answer) -> tuple[str, str]:
    assert answer.status == "error", answer
    return answer.code, answer.message


def gang(*pis: Pi | None) -> SimCluster:
    return SimCluster(dict(zip(hub_locations("1-1", len(pis)), pis, strict=True)), ganged=True)


def lit(rig: Rig, number: int) -> bool:
    return rig.cluster.ports[rig.slots[number - 1].location].lit


async def until_dark(rig: Rig, number: int) -> None:
    await rig.broker.until(lambda: not lit(rig, number))


# -- what is found out ------------------------------------------------------------------------------


def test_the_verdict_is_answered_remembered_and_told(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "state.json"
        async with cluster(base, [Pi()], state=State(path)) as rig:
            await rig.until(Phase.UP)
            told_before = sum(isinstance(news, Info) for news in rig.broker.news)
            found = verdict(await probed(rig, "node1", force=True))
            assert (found["backend"], found["works"], found["cuts"]) == ("sim", True, True)
            assert found["sentence"] == "It works: the device lost its power and came back as ROM."
            assert State(path).verdict(HERE) == found
            events = [news for news in rig.broker.news if isinstance(news, Event) and news.kind == "probed"]
            assert [(event.message, event.data) for event in events] == [
                (found["sentence"], {"backend": "sim", "works": True})
            ]
            await rig.broker.until(lambda: sum(isinstance(n, Info) for n in rig.broker.news) > told_before)

    clock.run(story())


def test_the_pi_that_comes_back_is_served(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            before = asyncio.get_running_loop().time()
            await probed(rig, "node1", force=True)
            assert asyncio.get_running_loop().time() - before == pytest.approx(OFF + 0.5, abs=0.2)
            await rig.until(Phase.UP)
            dark = [report.power for report in rig.broker.reports("node1") if report.phase is Phase.OFF]
            assert dark[-1] is False
            phases = rig.broker.phases("node1")
            assert phases[phases.index(Phase.UP) :] == [
                Phase.UP, Phase.OFF, Phase.WAITING, Phase.ROM, Phase.LOADING, Phase.STARTING, Phase.UP
            ]  # fmt: skip
            assert rig.cuts(1) == 1

    clock.run(story())


def test_a_slot_that_is_off_is_off_again_afterwards(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            assert await told(rig, "power", "node1", "off") == ["accepted", "done"]
            found = verdict(await probed(rig, "node1"))
            assert found["sentence"].startswith(
                "It works: the device left; it did not show whether its 5 V went"
            )
            await until_dark(rig, 1)
            assert not rig.agent.lives[HERE].wish
            await asyncio.sleep(60)
            assert (rig.phase("node1"), lit(rig, 1)) == (Phase.OFF, False)

    clock.run(story())


def test_a_quarantined_pi_shows_it_too_and_is_tried_again(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.ROM_REJECTS, times=4)])], limits=FAST) as rig:
            await rig.until(Phase.QUARANTINED)
            assert verdict(await probed(rig, "node1"))["works"]
            await rig.until(Phase.UP)

    clock.run(story())


def test_an_empty_port_shows_nothing_and_has_power_afterwards(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=SimCluster({HERE: None})) as rig:
            await asyncio.sleep(60)
            found = verdict(await probed(rig, "node1"))
            assert "nothing was plugged in" in found["sentence"]
            assert lit(rig, 1)

    clock.run(story())


def test_a_hub_that_lies_is_found_out_and_the_node_runs_on(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.cluster.ports[HERE].lies = True
            found = verdict(await probed(rig, "node1", force=True))
            assert (found["works"], found["cuts"]) == (False, False)
            await rig.until(Phase.UP)
            assert (rig.cuts(1), rig.pi(1).running) == (0, True)
            assert refused(await probed(rig, "node1"))[0] == Code.POWER_PROTECTED  # it is known to run

    clock.run(story())


# -- who is protected -------------------------------------------------------------------------------


def test_a_running_node_is_refused_without_force_and_not_disturbed(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            reports = rig.broker.reports("node1")
            code, message = refused(await probed(rig, "node1"))
            assert code == Code.POWER_PROTECTED
            assert message == "node1: node1 at 1-1.1 runs; shut it down first, or ask with force"
            await asyncio.sleep(60)
            assert rig.broker.reports("node1") == reports
            assert (rig.cuts(1), len(rig.broker.transcripts("node1"))) == (0, 1)

    clock.run(story())


def test_a_kernel_that_starts_is_not_cut(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.STARTING)
            assert refused(await probed(rig, "node1"))[0] == Code.POWER_PROTECTED
            await rig.until(Phase.UP)
            assert rig.cuts(1) == 0

    clock.run(story())


def test_a_running_neighbour_of_a_gang_is_named_and_force_overrides(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=gang(Pi(), None)) as rig:
            await rig.until(Phase.UP, "node1")
            code, message = refused(await probed(rig, "node2"))
            assert (code, "node1 at 1-1.1" in message) == (Code.POWER_PROTECTED, True)
            assert rig.cuts(1) == 0
            assert verdict(await probed(rig, "node2", force=True), "node2")["works"]
            await rig.until(Phase.UP, "node1")
            assert rig.cuts(1) == 1

    clock.run(story())


def test_what_is_no_pi_is_never_cut(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=gang(Pi(), None)) as rig:
            await rig.until(Phase.UP, "node1")
            stranger = replace(ZERO.rom, vendor=0x1234)
            assert rig.cluster.bus.plug(rig.slots[1].location, stranger).stage is Stage.OTHER
            code, message = refused(await probed(rig, "node1", force=True))
            assert (code, "no Pi at 1-1.2" in message) == (Code.POWER_PROTECTED, True)
            assert rig.cuts(1) == 0

    clock.run(story())


def test_a_latched_slot_refuses(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.alarms.draw_too_much(HERE)
            await rig.until(Phase.OFF)
            assert refused(await probed(rig, "node1", force=True))[0] == Code.OVERCURRENT
            assert not lit(rig, 1)

    clock.run(story())


def test_a_port_without_a_switch_says_why(base: Path) -> None:
    async def story() -> None:
        sim = SimCluster(plugged([Pi()]))
        await sim.ports[HERE].power(True)
        sim.ports[HERE].gang = []
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)
            code, message = refused(await probed(rig, "node1", force=True))
            assert (code, message) == (Code.POWER_UNSUPPORTED, f"node1: {sim.ports[HERE].why}")
            assert rig.pi(1).running

    clock.run(story())


# -- a power cycle like any other -------------------------------------------------------------------


def test_it_counts_as_a_cycle_and_is_refused_where_they_are_spent(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()], limits=Limits(cycles_per_hour=1)) as rig:
            await rig.until(Phase.UP)
            assert verdict(await probed(rig, "node1", force=True))["works"]
            await rig.until(Phase.UP)
            await asyncio.sleep(60)
            assert refused(await probed(rig, "node1", force=True))[0] == Code.CYCLES_SPENT
            assert (rig.cuts(1), rig.phase("node1")) == (1, Phase.UP)
            assert await told(rig, "power", "node1", "cycle") == ["accepted", "cycles_spent"]

    clock.run(story())


def test_a_weak_supply_refuses_before_anything_is_cut(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.alarms.weak = "the head reports under-voltage"
            assert refused(await probed(rig, "node1", force=True))[0] == Code.UNDERVOLTAGE
            assert (rig.cuts(1), rig.phase("node1")) == (0, Phase.UP)

    clock.run(story())


def test_slots_are_probed_side_by_side_and_powered_one_after_the_other(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi(), Pi()], limits=Limits(stagger=2.0)) as rig:
            await rig.until(Phase.UP)
            before = asyncio.get_running_loop().time()
            answer = await probed(rig, "all", force=True)
            assert [verdict(answer, f"node{n}")["cuts"] for n in (1, 2, 3)] == [True] * 3
            assert asyncio.get_running_loop().time() - before == pytest.approx(OFF + 2 * 2.0 + 0.5, abs=0.3)
            await rig.until(Phase.UP)

    clock.run(story())


def test_what_some_slots_have_shown_is_told_though_others_refuse(base: Path) -> None:
    async def story() -> None:
        sim = SimCluster({**plugged([Pi()]), Location("1-1.2"): None})
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP, "node1")
            answer = await probed(rig, "all")
            assert refused(answer)[0] == Code.POWER_PROTECTED
            assert list(answer.data["verdicts"]) == ["node2"]

    clock.run(story())


def test_meanwhile_the_slot_is_busy(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("probe", "node1", force=True)
            await rig.until(Phase.OFF)
            assert await told(rig, "power", "node1", "off") == ["busy"]

    clock.run(story())


# -- gangs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [0.0, 5.0, OFF + 0.2])
def test_those_of_a_gang_are_probed_one_after_the_other(base: Path, apart: float) -> None:
    async def story() -> None:
        async with cluster(base, [], sim=gang(Pi(), Pi())) as rig:
            await rig.until(Phase.UP)
            before = asyncio.get_running_loop().time()
            rig.broker.ask("probe", "node1", force=True)
            await asyncio.sleep(apart)
            second = verdict(await probed(rig, "node2", force=True), "node2")
            assert asyncio.get_running_loop().time() - before >= 2 * OFF
            first = next(a for r, a in rig.broker.answers if r.id == "1" and a.status == "done")
            assert (verdict(first)["cuts"], second["works"]) == (True, True)
            await rig.until(Phase.UP)
            assert rig.cuts(1) == 2

    clock.run(story())


@pytest.mark.parametrize("cold_boots", [1, 8])
def test_nobody_powers_a_gang_while_it_is_probed(base: Path, cold_boots: int) -> None:
    """Whoever did would be taken for the kernel."""

    async def story() -> None:
        limits = Limits(cold_boots=cold_boots)
        async with cluster(base, [], sim=gang(Pi(), None), limits=limits) as rig:
            await rig.until(Phase.UP, "node1")
            await rig.until(Phase.WAITING, "node2")
            rig.broker.ask("probe", "node1", force=True)
            await rig.until(Phase.OFF, "node1")
            rig.broker.ask("power", "node2", "cycle", number="2")
            await asyncio.sleep(OFF - 0.1)
            assert not lit(rig, 1)
            await rig.until(Phase.UP, "node1")
            found = next(a for r, a in rig.broker.answers if r.id == "1" and a.status == "done")
            assert verdict(found)["cuts"]

    clock.run(story())


# -- what comes in between --------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0.0, OFF / 2, OFF + 0.2, OFF + 0.45, OFF + 1.0])
def test_an_agent_that_stops_leaves_no_pi_waiting_and_the_next_one_goes_on(base: Path, moment: float) -> None:
    async def story() -> None:
        sim = SimCluster(plugged([Pi()]))
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("probe", "node1", force=True)
            await rig.until(Phase.OFF)
            await asyncio.sleep(moment)
        last = [answer.code or answer.status for _, answer in rig.broker.answers][-1]
        assert last == ("agent_error" if moment < OFF + 0.4 else "done")
        assert not sim.ports[HERE].lit
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)

    clock.run(story())


class Slow(SimPort):
    """A hub that confirms late that it has given power."""

    async def switch(self, on: bool) -> None:
        await super().switch(on)
        await asyncio.sleep(0.3)


def test_an_agent_that_stops_while_the_port_gets_power_leaves_no_pi_waiting(base: Path) -> None:
    async def story() -> None:
        sim = SimCluster(plugged([Pi()]))
        sim.ports[HERE] = Slow(sim.bus, HERE, sim.pi(HERE))
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("probe", "node1", force=True)
            await until_dark(rig, 1)
            await asyncio.sleep(0.3 + OFF + 0.1)
            assert lit(rig, 1)
        assert not sim.ports[HERE].lit

    clock.run(story())


@pytest.mark.parametrize("moment", [OFF / 2, OFF + 0.2])
def test_a_port_that_draws_too_much_stays_off(base: Path, moment: float) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            asyncio.get_running_loop().call_later(moment, rig.alarms.draw_too_much, HERE)
            assert refused(await probed(rig, "node1", force=True))[0] == Code.OVERCURRENT
            await asyncio.sleep(60)
            assert (rig.phase("node1"), lit(rig, 1)) == (Phase.OFF, False)

    clock.run(story())
