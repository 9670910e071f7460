"""Ports that drew too much: what the kernel counts, and what a port shows where it does not."""

from __future__ import annotations

import asyncio

import pytest

from terrible.errors import BootError
from terrible.model import Location
from terrible.power.alarms import HardwareAlarms
from terrible.power.overcurrent import POLL, Overcurrents

from .clock import run
from .currents import HERE, OVER, THERE, Ear, story
from .fakehub import FakeHub
from .tree import Tree

# -- what it counts -----------------------------------------------------------------------------------


def test_a_missed_event_is_found_by_the_next_look(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(THERE).write_text("1\n")
        await asyncio.sleep(POLL)
        assert ear.heard == [(THERE, POLL)]

    story(tree, telling)


def test_a_count_that_rises_by_many_is_one_alarm(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).write_text("250\n")
        await asyncio.sleep(3 * POLL)
        assert ear.where == [HERE]

    story(tree, telling)


def test_what_happened_before_the_start_is_history(tree: Tree) -> None:
    tree.overcurrents(HERE).write_text("7\n")

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        await asyncio.sleep(2 * POLL)
        assert ear.heard == []
        tree.overcurrents(HERE).write_text("8\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE]

    story(tree, telling)


@pytest.mark.parametrize(("after", "alarms"), [("0", 0), ("1", 1), ("7", 1)])
def test_a_hub_that_comes_back_counts_from_0(tree: Tree, after: str, alarms: int) -> None:
    tree.overcurrents(HERE).write_text("7\n")

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).unlink()
        tree.root.joinpath("bus/usb/devices/1-1/maxchild").write_text("0\n")
        await asyncio.sleep(POLL)
        tree.overcurrents(HERE).write_text(f"{after}\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE] * alarms

    story(tree, telling)


@pytest.mark.parametrize("after", ["0", "1"])
def test_a_hub_that_was_replaced_between_two_looks(tree: Tree, after: str) -> None:
    """Its count fell, so what it shows is its own."""
    tree.overcurrents(HERE).write_text("7\n")

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).write_text(f"{after}\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE] * int(after)
        tree.overcurrents(HERE).write_text("7\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE] * (int(after) + 1)

    story(tree, telling)


def test_the_usb_3_side_of_a_socket_is_the_slots_too(tree: Tree) -> None:
    tree.peers("1-2", "2-2")
    alarms = HardwareAlarms(FakeHub(), [Location("1-2")], tree.root)

    async def telling() -> None:
        ear = Ear()
        listening = asyncio.create_task(ear.listen(alarms.overcurrents()))
        await asyncio.sleep(1)
        tree.overcurrents("2-2").write_text("1\n")
        await asyncio.sleep(POLL)
        listening.cancel()
        assert ear.where == [Location("1-2")]

    run(telling())


# -- what a port shows where the kernel does not count -------------------------------------------------


def test_an_old_kernel_is_asked_for_the_status(tree: Tree) -> None:
    tree.overcurrents(HERE).unlink()
    hub = FakeHub()

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        for _ in range(2):
            hub.status[2] = OVER
            await asyncio.sleep(3 * POLL)
            hub.status[2] = 0x0100
            await asyncio.sleep(POLL)
        assert ear.heard == [(HERE, POLL), (HERE, 5 * POLL)], "each time it did, not for as long as it did"

    story(tree, telling, hub)


def test_a_port_that_draws_too_much_at_the_start(tree: Tree) -> None:
    tree.overcurrents(HERE).unlink()

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        assert ear.heard == [(HERE, 0.0)]

    story(tree, telling, FakeHub(status={2: OVER}))


def test_a_hub_that_does_not_answer_is_asked_again(tree: Tree) -> None:
    tree.overcurrents(HERE).unlink()
    hub = FakeHub(error=BootError("pipe"))

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        await asyncio.sleep(2 * POLL)
        hub.error, hub.status[2] = None, OVER
        await asyncio.sleep(POLL)
        assert ear.where == [HERE]

    story(tree, telling, hub)


def test_ports_that_are_counted_are_not_asked(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        await asyncio.sleep(2 * POLL)
        assert ear.heard == []

    story(tree, telling, FakeHub(error=AssertionError("asked")))
