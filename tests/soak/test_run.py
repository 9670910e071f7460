"""A soak of a real agent in virtual time: what counts, what fails, what is merely disturbed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.errors import HostError, UsageError
from terrible.model import Location, Phase
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from terrible.soak.record import STAGES
from terrible.soak.run import Book, choose, meet
from terrible.soak.view import View
from tests.clock import run

from .head import DirectHead, agent, of, plan, soaked


def healthy(count: int) -> SimCluster:
    return SimCluster(plugged([Pi() for _ in range(count)]))


def faulty(fault: Fault) -> SimCluster:
    return SimCluster(plugged([Pi(), Pi(faults=[fault])]))


async def phase(head: DirectHead, slot: str, wanted: Phase) -> None:
    """Return once the slot is seen in this phase."""
    while (standing := head.view.standing(slot)) is None or standing.phase != wanted:
        assert await head.view.change(1000.0), f"{slot} is never {wanted}"


def test_healthy_slots_come_up_at_the_first_attempt_side_by_side(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim = DirectHead(), healthy(4)
        async with agent(head, tmp_path, sim):
            book = await soaked(head, plan(3))
            took = asyncio.get_running_loop().time()
        assert [len(of(book, f"node{n}")) for n in range(1, 5)] == [3, 3, 3, 3]
        assert all(cycle.outcome == "up" and cycle.first_try for cycle in book.cycles)
        assert [port.cuts for port in sim.ports.values()] == [3, 3, 3, 3]
        assert took < 2 * sum(cycle.seconds for cycle in of(book, "node1")), "one after the other"

    run(story())


def test_a_cycle_tells_every_stage_and_the_firmware(tmp_path: Path) -> None:
    async def story() -> None:
        head = DirectHead()
        async with agent(head, tmp_path, healthy(1)):
            (cycle,) = (await soaked(head, plan(1))).cycles
        assert tuple(cycle.stages) and set(cycle.stages) == set(STAGES)
        assert cycle.stages["starting"] == pytest.approx(4.0, abs=0.1), "a simulated kernel takes 4 s"
        assert cycle.stages["rom"] == pytest.approx(1.3, abs=0.1), "the gap is the ROM's"
        assert cycle.seconds > sum(cycle.stages.values()), "the off time is part of the cycle"
        assert set(cycle.firmware) == {"bootcode.bin", "start.elf"}

    run(story())


def test_a_fault_that_passes_costs_an_attempt_and_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        fault = Fault(Kind.BOOTCODE_STALLS, times=0)
        head, sim = DirectHead(), faulty(fault)
        async with agent(head, tmp_path, sim):
            await phase(head, "node2", Phase.UP)
            fault.times = 1
            book = await soaked(head, plan(2))
        first, second = of(book, "node2")
        assert (first.outcome, first.attempts) == ("up", 2)
        assert [(f.stage, f.diagnosis) for f in first.failures] == [("rom", "the ROM stalled a transfer")]
        assert (second.outcome, second.attempts, second.failures) == ("up", 1, ())
        assert all(cycle.first_try for cycle in of(book, "node1"))

    run(story())


def test_a_node_that_stays_broken_fails_and_the_others_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim = DirectHead(), faulty(Fault(Kind.ROM_VANISHES, times=None))
        async with agent(head, tmp_path, sim):
            book = await soaked(head, plan(2))
        assert [(c.outcome, c.attempts, c.ended_in) for c in of(book, "node2")] == [("failed", 3, "rom")] * 2
        assert [c.diagnosis for c in of(book, "node2")] == ["bootcode sent, never came back in 15 s"] * 2
        assert [c.outcome for c in of(book, "node1")] == ["up", "up"]

    run(story())


def test_an_empty_slot_fails_by_what_the_agent_says_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim = DirectHead(), SimCluster({**plugged([Pi()]), Location("1-1.2"): None})
        async with agent(head, tmp_path, sim):
            book = await soaked(head, plan(1, "node2"))
        (cycle,) = book.cycles
        assert (cycle.outcome, cycle.attempts, cycle.ended_in) == ("failed", 0, "arrival")
        assert "nothing showed up" in cycle.diagnosis

    run(story())


def test_a_slot_that_may_not_be_cut_is_left_out_after_three_refusals(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim = DirectHead(), SimCluster(plugged([Pi(), Pi()]), ganged=True)
        async with agent(head, tmp_path, sim):
            await phase(head, "node2", Phase.UP)
            book = await soaked(head, plan(10, "node1"))
        assert [cycle.outcome for cycle in book.cycles] == ["failed"] * 3
        assert "would also cut node2" in book.cycles[0].diagnosis
        assert [note.partition(":")[0] for note in book.notes] == ["node1 ended after 3 cycles"]

    run(story())


def test_force_cuts_what_is_shared_only_if_asked(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim = DirectHead(), SimCluster(plugged([Pi(), Pi()]), ganged=True)
        async with agent(head, tmp_path, sim):
            await phase(head, "node2", Phase.UP)
            book = await soaked(head, plan(1, "node1", force=True))
        assert [cycle.outcome for cycle in book.cycles] == ["up"]

    run(story())


def test_an_agent_that_starts_anew_interrupts_the_cycle_and_it_is_not_counted(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim, book = DirectHead(), healthy(1), Book(lambda cycle: None)
        async with agent(head, tmp_path, sim):
            soaking = asyncio.create_task(soaked(head, plan(2), book))
            await phase(head, "node1", Phase.UP)
            await phase(head, "node1", Phase.LOADING)
        async with agent(head, tmp_path, sim, "another"):
            await soaking
        assert [cycle.outcome for cycle in book.cycles] == ["interrupted", "up", "up"]
        assert [cycle.number for cycle in book.cycles] == [1, 2, 3]

    run(story())


def test_a_broker_that_is_away_for_half_an_hour_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim = DirectHead(), healthy(1)
        async with agent(head, tmp_path, sim):
            soaking = asyncio.create_task(soaked(head, plan(2)))
            await phase(head, "node1", Phase.UP)
            await phase(head, "node1", Phase.LOADING)
            head.disconnect()
            await asyncio.sleep(1800)
            assert not soaking.done()
            head.reconnect()
            book = await soaking
        assert [cycle.outcome for cycle in book.cycles] == ["up", "up"]

    run(story())


def test_a_request_that_got_lost_is_made_again_with_the_same_id(tmp_path: Path) -> None:
    async def story() -> None:
        head, sim = DirectHead(), healthy(1)
        head.lost = 2
        async with agent(head, tmp_path, sim):
            book = await soaked(head, plan(1))
        assert len(head.asked) == 3
        assert len(set(head.asked)) == 1
        assert [cycle.outcome for cycle in book.cycles] == ["up"]
        assert [port.cuts for port in sim.ports.values()] == [1]

    run(story())


def test_a_slot_that_somebody_switches_off_is_not_cycled_until_it_is_wanted_again(tmp_path: Path) -> None:
    async def story() -> None:
        fault = Fault(Kind.ROM_VANISHES, times=0)
        head, sim = DirectHead(), SimCluster(plugged([Pi(faults=[fault])]))
        async with agent(head, tmp_path, sim):
            soaking = asyncio.create_task(soaked(head, plan(1)))
            await phase(head, "node1", Phase.UP)
            fault.times = 1
            await phase(head, "node1", Phase.FAILED)
            assert head.broker is not None
            head.broker.ask("power", "node1", "off", number="stranger")
            await asyncio.sleep(2000)
            assert len(head.asked) == 1, "it is asked for although somebody wants it off"
            head.broker.ask("power", "node1", "on", number="stranger 2")
            book = await soaking
        assert [cycle.outcome for cycle in book.cycles] == ["interrupted", "up"]

    run(story())


def test_what_is_under_way_at_the_end_is_in_the_book(tmp_path: Path) -> None:
    async def story() -> None:
        head, book = DirectHead(), Book(lambda cycle: None)
        async with agent(head, tmp_path, healthy(2)):
            soaking = asyncio.create_task(soaked(head, plan(5), book))
            await phase(head, "node1", Phase.UP)
            await phase(head, "node1", Phase.LOADING)
            soaking.cancel()
            await asyncio.wait({soaking})
        assert soaking.cancelled()
        assert [(c.outcome, c.diagnosis) for c in of(book, "node1")] == [
            ("interrupted", "the soak was ended")
        ]

    run(story())


def test_hours_begin_no_cycle_after_them_and_finish_the_last(tmp_path: Path) -> None:
    async def story() -> None:
        head = DirectHead()
        async with agent(head, tmp_path, healthy(1)):
            book = await soaked(head, plan(None, hours=0.1))
        ended = asyncio.get_running_loop().time()
        assert all(cycle.outcome == "up" for cycle in book.cycles)
        assert 360 <= ended < 360 + 2 * max(cycle.seconds for cycle in book.cycles)

    run(story())


def test_without_an_agent_there_is_one_clear_line() -> None:
    with pytest.raises(HostError, match="no agent of the cluster nowhere"):
        run(meet(View("nowhere"), "nowhere"))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("node9", "there is no slot node9"), ("node[", "names no slots"), ("node2", "switched off by wish")],
)
def test_slots_that_cannot_be_tested_are_refused_before_anything_is_cycled(
    tmp_path: Path, pattern: str, said: str
) -> None:
    async def story() -> None:
        head = DirectHead()
        async with agent(head, tmp_path, healthy(2)):
            info = await meet(head.view, "test")
            assert head.broker is not None
            head.broker.ask("power", "node2", "off")
            await phase(head, "node2", Phase.OFF)
            with pytest.raises(UsageError, match=said):
                choose(plan(1, pattern), head.view, info)

    run(story())
