"""A probe against ports that obey, lie, are re-powered, or keep their 5 V, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from terrible.model import Location, Stage
from terrible.power.probe import BACK, OFF, ON_TRIES, STEP
from terrible.power.verdict import Observed, judge
from terrible.seams import Device

from .clock import run
from .probeworld import RETURN, Port, World
from .tree import Tree


def probed(world: World, port: Port | None = None) -> Observed:
    seen = run(world.probe(port or Port(world)).run())
    assert world.lit(), "a probe leaves the port powered"
    return seen


def near(seconds: float) -> object:
    return pytest.approx(seconds, abs=2 * STEP)


def test_a_port_that_really_switches(tree: Tree) -> None:
    seen = probed(World(tree))
    assert (seen.before, seen.after) == (Stage.GADGET, Stage.ROM)
    assert seen.off == near(0)
    assert seen.gone == near(0)  # silent before the kernel has noticed
    assert seen.back == near(RETURN)
    assert (seen.repowered, seen.lingering, seen.answered, seen.refused, seen.stuck) == (
        None,
        False,
        False,
        "",
        "",
    )
    assert judge(seen).cuts is True


def test_the_kernel_keeps_the_dead_device(tree: Tree) -> None:
    world = World(tree)
    world.lingers = True
    seen = probed(world)
    assert seen.lingering
    assert seen.gone == near(0)
    assert not seen.answered
    assert seen.after is Stage.ROM


def test_a_hub_that_ignores_it(tree: Tree) -> None:
    world = World(tree)
    world.stuck, world.disconnects = world.power, False
    seen = probed(world)
    assert (seen.off, seen.gone, seen.back) == (None, None, None)
    assert seen.answered
    assert not seen.lingering
    assert judge(seen).works is False


def test_only_the_bit_changes(tree: Tree) -> None:
    world = World(tree)
    world.disconnects = False
    seen = probed(world)
    assert seen.off == near(0)
    assert seen.answered
    assert not seen.lingering
    assert judge(seen).cuts is False


def test_the_hub_disconnects_but_the_5_volts_stay(tree: Tree) -> None:
    world = World(tree)
    world.cuts = False
    seen = probed(world)
    assert seen.after is Stage.GADGET
    assert judge(seen).cuts is False


def test_re_powered_and_then_held(tree: Tree) -> None:
    world = World(tree)
    world.repowers, world.repowers_after = 1, 4.0
    port = Port(world)
    seen = probed(world, port)
    assert seen.repowered == near(4)
    assert seen.held
    assert port.asked == [False, True]


def test_re_powered_whatever_is_done(tree: Tree) -> None:
    world = World(tree)
    world.repowers, world.repowers_after = 1, 4.0
    port = Port(world)
    port.fails_off = "re-powered each time"
    seen = probed(world, port)
    assert seen.repowered == near(4)
    assert not seen.held
    assert judge(seen).works is False


def test_class_requests_are_sent_once_so_that_a_re_powering_kernel_shows(tree: Tree) -> None:
    world = World(tree)
    probed(world)
    assert world.switched == [(2, False), (2, True)]


def test_the_kernels_own_switch_that_refuses(tree: Tree) -> None:
    world = World(tree)
    port = Port(world, "sysfs")
    port.fails_off = "the helper does not answer"
    seen = probed(world, port)
    assert seen.refused == "the helper does not answer"
    assert judge(seen).works is False


def test_an_empty_port(tree: Tree) -> None:
    world = World(tree, stage=None)

    async def story() -> tuple[Observed, float]:
        seen = await world.probe(Port(world)).run()
        return seen, asyncio.get_running_loop().time()

    seen, took = run(story())
    assert (seen.before, seen.gone, seen.back, seen.lingering) == (None, None, None, False)
    assert seen.off == near(0)
    assert took == near(OFF), "nobody waits for nothing to come back"


def test_nothing_comes_back(tree: Tree) -> None:
    world = World(tree)
    world.comes_back = False
    assert probed(world).back is None


def test_a_device_that_nobody_may_ask(tree: Tree) -> None:
    world = World(tree)
    world.lingers = True

    async def forbidden(_: Location) -> None:
        return None

    world.answers = forbidden
    seen = probed(world)
    assert (seen.gone, seen.answered, seen.lingering) == (None, False, True)
    assert judge(seen).works


def test_one_lost_answer_is_not_the_end(tree: Tree) -> None:
    world = World(tree)
    world.disconnects = False
    told = iter([True, True, False])

    async def stammering(_: Location) -> bool:
        return next(told, True)

    world.answers = stammering
    seen = probed(world)
    assert (seen.gone, seen.answered) == (None, True)


def test_a_port_that_was_off_is_switched_on_first(tree: Tree) -> None:
    world = World(tree, stage=None)
    world.devnum, world.status[2] = 9, 0
    seen = probed(world)
    assert seen.before is Stage.ROM
    assert seen.off == near(0)
    assert world.switched == [(2, True), (2, False), (2, True)]


def test_it_tries_hard_to_power_on_again(tree: Tree) -> None:
    world = World(tree)
    port = Port(world)
    port.fails_on = ON_TRIES - 1
    seen = probed(world, port)
    assert seen.stuck == ""
    assert judge(seen).works


def test_a_port_that_stays_dark_is_told(tree: Tree) -> None:
    world = World(tree)
    port = Port(world)
    port.fails_on = ON_TRIES
    seen = run(world.probe(port).run())
    assert seen.stuck == "no power yet"
    assert "could not be switched on again" in judge(seen).sentence


@pytest.mark.parametrize("interrupts", [1, 2, 5])
@pytest.mark.parametrize("when", [0.0, 0.05, 3.0, OFF - 0.01, OFF + 1.0])
def test_ctrl_c_leaves_the_port_powered(tree: Tree, when: float, interrupts: int) -> None:
    world = World(tree)
    port = Port(world)
    port.fails_on = 2

    async def story() -> None:
        task = asyncio.create_task(world.probe(port).run())
        await asyncio.sleep(when + STEP / 2)
        for _ in range(interrupts):
            task.cancel()
            await asyncio.sleep(STEP)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert world.lit()

    run(story())
    assert world.switched[-1] == (2, True)


def test_libusb_hears_later_than_the_kernel(tree: Tree) -> None:
    world = World(tree)
    before, looks = world.node, iter(range(100))

    def late() -> list[Device]:
        return [node for node in (before if next(looks) < 5 else world.node,) if node]

    world.present = late  # type: ignore[method-assign]
    assert probed(world).after is Stage.ROM


def test_an_error_leaves_the_port_powered(tree: Tree) -> None:
    world = World(tree)

    async def broken(_: Location) -> bool:
        if not world.lit():
            raise RuntimeError("a bug")
        return True

    world.answers = broken
    with pytest.raises(ExceptionGroup):
        run(world.probe(Port(world)).run())
    assert world.lit()


def test_the_limits_of_a_probe(tree: Tree) -> None:
    world = World(tree)
    world.comes_back = False

    async def story() -> float:
        await world.probe(Port(world)).run()
        return asyncio.get_running_loop().time()

    assert run(story()) == near(OFF + BACK)
