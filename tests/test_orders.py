"""Every order is answered, once and truly, whatever the node does meanwhile; none of them ends the agent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.errors import PowerError
from terrible.limits import Limits
from terrible.model import Location, Phase
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi, Timing
from terrible.state import State
from tests import clock
from tests.cluster import Rig, boot_directory, cluster


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


async def told(rig: Rig, verb: str, slots: str, action: str = "", *, force: bool = False) -> list[str]:
    """How a new request is answered: each status or error code, up to the last."""
    number = str(len(rig.broker.answers) + 1000)
    rig.broker.ask(verb, slots, action, force=force, number=number)

    def answers() -> list[str]:
        return [a.code or a.status for request, a in rig.broker.answers if request.id == number]

    await rig.broker.until(lambda: bool(answers()) and answers()[-1] not in ("accepted", "progress"))
    return answers()


def test_words_that_name_no_slot_do_not_end_the_agent(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            assert await told(rig, "power", "1-1.2", "off") == ["bad_request"]
            assert await told(rig, "power", "node1", "on") == ["accepted", "done"]

    clock.run(story())


def test_whoever_asks_for_several_learns_of_each_as_it_ends(base: Path) -> None:
    async def story() -> None:
        pis = [Pi(), Pi(faults=[Fault(Kind.ROM_REJECTS, times=None)]), Pi()]
        async with cluster(base, pis) as rig:
            await rig.until(Phase.UP, "node3")
            assert (await told(rig, "power", "all", "cycle", force=True))[-1] == "boot_failed"
            told_of = [answer for request, answer in rig.broker.answers if request.slots == "all"]
        accepted, *progress, last = told_of
        assert accepted.data == {"slots": ["node1", "node2", "node3"]}
        assert sorted(step.data["slot"] for step in progress) == ["node1", "node2", "node3"]
        assert [step.data["left"] for step in progress] == [2, 1, 0]
        bad = next(step.data for step in progress if step.data["slot"] == "node2")
        assert bad["error"]["code"] == last.code == "boot_failed"
        assert all("error" not in step.data for step in progress if step.data["slot"] != "node2")
        assert last.data == {"slots": ["node1", "node2", "node3"], "failed": {"node2": bad["error"]}}

    clock.run(story())


def test_all_of_no_slots_is_nobody(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, []) as rig:
            assert await told(rig, "power", "all", "off") == ["unknown_slot"]
            assert await told(rig, "boot", "all") == ["unknown_slot"]

    clock.run(story())


class Unreachable(SimCluster):
    """Nodes that never answer, however long their gadget is there."""

    async def reachable(self, *_: object) -> tuple[str, ...]:
        await asyncio.Event().wait()
        return ()


def test_a_node_that_never_answers_keeps_nobody_waiting(base: Path) -> None:
    async def story() -> None:
        sim = Unreachable(plugged([Pi(), Pi()]))
        async with cluster(base, [], sim=sim, limits=Limits(cold_boots=1)) as rig:
            await rig.until(Phase.STARTING)
            assert await told(rig, "power", "node1", "cycle", force=True) == ["accepted", "unreachable"]
            assert await told(rig, "boot", "node1") == ["accepted", "unreachable"]
            assert await told(rig, "power", "node1", "off", force=True) == ["accepted", "done"]

    clock.run(story())


@pytest.mark.parametrize("kind", [Kind.ROM_AGAIN, Kind.ROM_VANISHES, Kind.KERNEL_PANICS, Kind.LOADER_SILENT])
def test_a_node_that_never_boots_keeps_nobody_waiting(base: Path, kind: Kind) -> None:
    async def story() -> None:
        faulty = Pi(faults=[Fault(kind, times=None)])
        async with cluster(base, [Pi(), faulty], limits=Limits(cold_boots=1)) as rig:
            await rig.until(Phase.UP, "node1")
            statuses = await told(rig, "power", "node2", "cycle", force=True)
            assert (statuses[0], len(statuses)) == ("accepted", 2)
            assert await told(rig, "power", "node1", "cycle", force=True) == ["accepted", "done"]

    clock.run(story())


def test_a_weak_supply_keeps_nobody_waiting(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.alarms.weak = "the head reports under-voltage"
            assert await told(rig, "power", "node1", "cycle", force=True) == ["accepted", "undervoltage"]
            assert await told(rig, "power", "node1", "off") == ["accepted", "done"]

    clock.run(story())


def test_a_latch_answers_the_order_that_it_overtakes(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("hang")
            await rig.until(Phase.LOST)
            asyncio.get_running_loop().call_later(5, rig.alarms.draw_too_much, Location("1-1.1"))
            assert await told(rig, "power", "node1", "off") == ["accepted", "overcurrent"]
            assert await told(rig, "power", "node1", "off") == ["accepted", "done"]

    clock.run(story())


def test_on_and_release_leave_a_node_alone_that_does_not_answer(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("hang")
            await rig.until(Phase.LOST)
            assert await told(rig, "power", "node1", "on") == ["accepted", "done"]
            assert await told(rig, "release", "node1") == ["accepted", "done"]
            rig.pi(1).tell("recover")
            await rig.until(Phase.UP)
            assert rig.cuts(1) == 0

    clock.run(story())


def test_orders_under_way_are_answered_when_the_agent_stops(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "cycle", number="7")
            await rig.broker.until(lambda: len(rig.broker.answers) == 1)
        assert [answer.code or answer.status for _, answer in rig.broker.answers] == [
            "accepted",
            "agent_error",
        ]

    clock.run(story())


# -- what cannot be cut -----------------------------------------------------------------------------


class Unswitched(SimCluster):
    """A cluster whose power nobody can switch."""

    async def port(self, location: Location) -> Unswitchable:
        return Unswitchable()


class Unswitchable:
    backend = "none"
    why = "nobody can switch it"

    def affects(self) -> frozenset[Location]:
        return frozenset()

    async def switch(self, on: bool) -> None:
        if not on:
            raise PowerError(self.why)

    async def powered(self) -> bool | None:
        return None


def test_a_node_that_cannot_be_switched_off_is_served_on(base: Path) -> None:
    async def story() -> None:
        sim = Unswitched(plugged([Pi()]))
        await asyncio.gather(*(port.power(True) for port in sim.ports.values()))
        async with cluster(base, [], sim=sim) as rig:
            await rig.until(Phase.UP)
            assert await told(rig, "power", "node1", "off") == ["accepted", "power_unsupported"]
            rig.pi(1).tell("reboot")
            await rig.until(Phase.ROM)
            await rig.until(Phase.UP)
            again = rig.broker.last("node1")
            assert again is not None
            assert again.problem is not None, "it runs against its wish"
            rig.pi(1).tell("poweroff")
            await rig.until(Phase.HALTED)
            report = rig.broker.last("node1")
            assert report is not None
            assert not report.wish

    clock.run(story())


class Slow:
    """A switch that is looked up as slowly as a hub's descriptor is read."""

    def __init__(self, sim: SimCluster) -> None:
        self._sim = sim

    async def port(self, location: Location) -> object:
        await asyncio.sleep(0.02)
        return self._sim.ports[location]


def test_a_refused_off_cuts_nobody_at_the_next_start(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        sim = SimCluster(plugged([Pi(), Pi()]), ganged=True)
        async with cluster(base, [], sim=sim, state=State(tmp_path / "state.json")) as rig:
            await rig.until(Phase.UP)
            assert await told(rig, "power", "node1", "off") == ["accepted", "power_protected"]
        sim.port = Slow(sim).port  # type: ignore[method-assign,assignment]
        async with cluster(base, [], sim=sim, state=State(tmp_path / "state.json")) as rig:
            await asyncio.sleep(3600)
            assert rig.phase("node2") is Phase.UP
            assert (rig.cuts(1), rig.cuts(2)) == (0, 0)

    clock.run(story())


def test_a_whole_gang_can_be_switched_off(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi(), Pi()], ganged=True) as rig:
            await rig.until(Phase.UP)
            assert await told(rig, "power", "all", "off") == ["accepted", *["progress"] * 3, "done"]
            assert [rig.phase(f"node{n}") for n in (1, 2, 3)] == [Phase.OFF] * 3
            await asyncio.sleep(3600)
            assert not any(port.lit for port in rig.cluster.ports.values())

    clock.run(story())


# -- the watchdog of systemd ------------------------------------------------------------------------


def test_a_slow_bus_is_no_reason_to_restart_the_agent(base: Path) -> None:
    """60 MB at 0.25 MB/s, as behind a full-speed translator, take four minutes."""

    async def story() -> None:
        boot_directory(base, kernel=60_000_000)
        sim = SimCluster(plugged([Pi(timing=Timing())]), rate=0.25e6)
        async with cluster(base, [], sim=sim) as rig:
            while rig.phase("node1") is not Phase.UP:
                assert rig.agent.stuck == []
                await asyncio.sleep(5)

    clock.run(story())


def test_a_pause_is_no_reason_to_restart_the_agent(base: Path) -> None:
    async def story() -> None:
        faulty = Pi(faults=[Fault(Kind.ROM_REJECTS, times=None)])
        async with cluster(base, [faulty], limits=Limits(pauses=(3600.0,))) as rig:
            await rig.until(Phase.QUARANTINED)
            for _ in range(100):
                assert rig.agent.stuck == []
                await asyncio.sleep(60)

    clock.run(story())


def test_no_rom_is_left_when_the_agent_stops_while_a_switch_is_verified(base: Path) -> None:
    async def story() -> None:
        sim = SimCluster(plugged([Pi(timing=Timing(rom=0.05))]))
        port = sim.ports[Location("1-1.1")]
        switch = port.switch

        async def slow(on: bool) -> None:
            await switch(on)
            await asyncio.sleep(0.3)

        port.switch = slow  # type: ignore[method-assign]
        async with cluster(base, [], sim=sim):
            while not port.lit:
                await asyncio.sleep(0.01)
        assert not port.lit

    clock.run(story())
