"""What people do to nodes, and what a slot does about it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.model import Answer, Phase, Stage
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from terrible.state import State
from terrible.usb.identify import Descriptors, Interface
from tests import clock
from tests.cluster import MemoryBroker, boot_directory, cluster

KEYBOARD = Descriptors(0x046D, 0xC31C, 0x6402, 0, 0, 1, (Interface(0, 3, 1, 1),))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


async def answers(broker: MemoryBroker, count: int = 2) -> list[Answer]:
    """The first answers to whatever was asked."""
    await broker.until(lambda: len(broker.answers) >= count)
    return [answer for _, answer in broker.answers]


def test_reboot_is_a_new_attempt_without_a_cycle_and_no_failure(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("reboot")
            await rig.until(Phase.ROM)
            await rig.until(Phase.UP)
            assert [t.outcome for t in rig.broker.transcripts("node1")] == ["up", "up"]
            assert rig.cuts(1) == 0

    clock.run(story())


def test_a_node_that_halts_is_left_alone_until_someone_wants_it(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("poweroff")
            await rig.until(Phase.HALTED)
            await asyncio.sleep(24 * 3600)
            assert rig.phase("node1") is Phase.HALTED
            assert rig.cuts(1) == 0
            rig.broker.ask("boot", "node1")
            await rig.until(Phase.UP)
            assert [answer.status for answer in await answers(rig.broker)] == ["accepted", "done"]

    clock.run(story())


def test_a_node_that_hangs_is_lost_and_up_again_when_it_answers(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.pi(1).tell("hang")
            await rig.until(Phase.LOST)
            await asyncio.sleep(3600)
            assert rig.cuts(1) == 0
            rig.pi(1).tell("recover")
            await rig.until(Phase.UP)

    clock.run(story())


def test_off_cuts_and_stays_off_until_on(base: Path) -> None:
    async def story() -> None:
        state = State(None)
        async with cluster(base, [Pi(), Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "off")
            await rig.until(Phase.OFF, "node1")
            await asyncio.sleep(3600)
            assert rig.phase("node1") is Phase.OFF
            assert rig.phase("node2") is Phase.UP
            assert not state.wish("node1")
            rig.broker.ask("power", "node1", "on", number="2")
            await rig.until(Phase.UP)
            assert state.wish("node1")

    clock.run(story())


def test_cycle_keeps_the_wish(base: Path) -> None:
    async def story() -> None:
        state = State(None)
        async with cluster(base, [Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "cycle")
            await rig.until(Phase.OFF)
            await rig.until(Phase.UP)
            assert rig.cuts(1) == 1
            assert state.wish("node1")

    clock.run(story())


def test_boot_does_nothing_to_a_node_that_is_up(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("boot", "node1")
            assert [answer.status for answer in await answers(rig.broker)] == ["accepted", "done"]
            assert rig.cuts(1) == 0
            assert len(rig.broker.transcripts("node1")) == 1

    clock.run(story())


def test_boot_takes_a_node_out_of_quarantine(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.LOADER_SILENT, times=3)])]) as rig:
            await rig.until(Phase.QUARANTINED)
            rig.broker.ask("boot", "node1")
            await rig.until(Phase.UP)

    clock.run(story())


def test_a_second_operation_is_refused_as_busy(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "cycle", number="1")
            rig.broker.ask("power", "node1", "off", number="2")
            first, second = await answers(rig.broker)
            assert (first.status, second.status, second.code) == ("accepted", "error", "busy")
            await rig.until(Phase.OFF)
            await rig.until(Phase.UP)

    clock.run(story())


@pytest.mark.parametrize(
    ("verb", "slots", "action", "code"),
    [
        ("power", "node9", "off", "unknown_slot"),
        ("power", "node1", "sideways", "bad_request"),
        ("dance", "node1", "", "bad_request"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    base: Path, verb: str, slots: str, action: str, code: str
) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask(verb, slots, action)
            (answer,) = await answers(rig.broker, 1)
            assert (answer.status, answer.code) == ("error", code)
            assert rig.phase("node1") is Phase.UP

    clock.run(story())


def test_a_ganged_hub_is_not_cut_while_another_node_runs(base: Path) -> None:
    async def story() -> None:
        sick = Pi(faults=[Fault(Kind.LOADER_SILENT, times=None)])
        async with cluster(base, [Pi(), sick], ganged=True) as rig:
            await rig.until(Phase.UP, "node1")
            await rig.until(Phase.QUARANTINED, "node2")
            assert rig.cuts(1) == rig.cuts(2) == 0
            rig.broker.ask("power", "node2", "off")
            refused = (await answers(rig.broker))[-1]
            assert refused.code == "power_protected"
            assert "node1" in refused.message
            rig.broker.ask("power", "node2", "off", force=True, number="2")
            await rig.until(Phase.OFF, "node2")
            assert rig.cuts(1) == 1

    clock.run(story())


def test_what_is_no_pi_is_never_cut(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            port = rig.cluster.ports[rig.slots[0].location]
            port.detach()
            rig.cluster.bus.plug(port.location, KEYBOARD)
            await rig.broker.until(lambda: rig.phase("node1") is Phase.WAITING)
            await asyncio.sleep(3600)
            rig.broker.ask("power", "node1", "cycle", force=True)
            assert (await answers(rig.broker))[-1].code == "power_protected"
            assert port.cuts == 0

    clock.run(story())


def test_a_port_that_only_says_it_is_off_is_reported(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.cluster.ports[rig.slots[0].location].lies = True
            rig.broker.ask("power", "node1", "off")
            assert (await answers(rig.broker))[-1].code == "power_unsupported"

    clock.run(story())


def test_a_pulled_plug_never_counts_against_a_node(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            port = rig.cluster.ports[rig.slots[0].location]
            for moment in (0.5, 0.9, 1.9, 2.2, 2.5) * 4:
                await asyncio.sleep(moment)
                await port.stop()
                await asyncio.sleep(moment)
                port.start()
            await rig.until(Phase.UP)
            phases = set(rig.broker.phases("node1"))
            assert not phases & {Phase.FAILED, Phase.QUARANTINED}

    clock.run(story())


def test_a_flapping_plug_floods_nobody(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            told = len(rig.broker.news)
            port = rig.cluster.ports[rig.slots[0].location]
            await port.stop()
            for _ in range(6000):  # 100 Hz for a minute
                port.attach(rig.pi(1).family.rom)
                await asyncio.sleep(0.005)
                port.detach()
                await asyncio.sleep(0.005)
            assert len(rig.broker.news) - told < 100
            port.start()
            await rig.until(Phase.UP)

    clock.run(story())
    assert len(caplog.records) < 100


@pytest.mark.parametrize("moment", [moment / 4 for moment in range(40)])
def test_stopping_leaves_no_unserved_pi_powered_and_running_ones_alone(base: Path, moment: float) -> None:
    async def story() -> None:
        sim = SimCluster(plugged([Pi() for _ in range(4)]))
        async with cluster(base, [], sim=sim) as rig:
            await asyncio.sleep(moment)
            phases = {slot.location: rig.phase(slot.name) for slot in rig.slots}
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 5
        assert rig.broker.ended
        for location, port in sim.ports.items():
            if phases[location] in (Phase.STARTING, Phase.UP):
                assert port.cuts == 0
            shown = {d.stage for d in sim.bus.present() if d.location == location}
            assert not shown & {Stage.ROM, Stage.LOADER}
        await asyncio.sleep(60)
        assert not {d.stage for d in sim.bus.present()} & {Stage.ROM, Stage.LOADER}

    clock.run(story())


@pytest.mark.parametrize("moment", [0.3, 1.0, 3.0, 5.0, 8.0, 20.0])
def test_an_agent_that_starts_over_what_the_last_one_left_goes_on(base: Path, moment: float) -> None:
    async def story() -> None:
        sim = SimCluster(plugged([Pi() for _ in range(4)]))
        async with cluster(base, [], sim=sim) as rig:
            await asyncio.sleep(moment)
            up = {slot.name for slot in rig.slots if rig.phase(slot.name) is Phase.UP}
            cuts = {slot.name: rig.cuts(slot.number) for slot in rig.slots}
        async with cluster(base, [], sim=sim) as again:
            await again.until(Phase.UP)
            assert all(again.cuts(int(name[-1])) == cuts[name] for name in up)

    clock.run(story())
