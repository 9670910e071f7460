"""What the simulator can do to an agent happens as it is told: else no chaos would prove anything."""

from __future__ import annotations

import asyncio
import random

import pytest

from terrible.errors import BootError, DeviceLeft, Silent
from terrible.model import Stage
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.faults import HEAL_EVERY, Break, Error, Hearing
from terrible.sim.pi import Pi
from tests import clock


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("error", "raised", "seconds"),
    [
        (Error.TIMEOUT, Silent, 60.0),
        (Error.STALL, BootError, 0.0),
        (Error.GONE, DeviceLeft, 0.0),
        (Error.IO, BootError, 0.0),
        (Error.OVERFLOW, BootError, 0.0),
    ],
)
def test_a_message_fails_as_it_is_told_and_once(
    error: Error, raised: type[BootError], seconds: float
) -> None:
    async def story() -> None:
        cluster = SimCluster(plugged([Pi()]))
        (port,) = cluster.ports.values()
        port.cable.breaks = [Break(1, error)]
        await port.power(True)
        device = await anext(cluster.bus.arrivals())
        async with device.open() as link:
            await link.control_out(24, 0, 3.0)
            began = now()
            with pytest.raises(BootError) as caught:
                await link.control_in(4, 60.0)
            assert type(caught.value) is raised
            assert now() - began == seconds
            assert device.gone == (error is Error.GONE)
            assert port.cable.passes() is None
        await cluster.close()

    clock.run(story())


def test_a_lost_arrival_is_heard_of_at_the_second_look_and_a_lost_leaving_at_the_first() -> None:
    async def story() -> None:
        cluster = SimCluster(plugged([Pi()]))
        cluster.bus.hearing = Hearing(random.Random(1), lost=1.0)
        (port,) = cluster.ports.values()
        await port.power(True)
        device = await anext(cluster.bus.arrivals())
        assert HEAL_EVERY < now() < 2 * HEAL_EVERY + 1
        cut = now()
        await port.power(False)
        assert port.shown is None
        assert not device.gone
        async with device.open() as link:
            with pytest.raises(DeviceLeft):
                await link.control_out(24, 0, 3.0)
        await device.left()
        assert 0 < now() - cut <= HEAL_EVERY
        assert not cluster.bus.present()

    clock.run(story())


def test_a_hub_that_is_put_back_powers_every_port() -> None:
    async def story() -> None:
        cluster = SimCluster(plugged([Pi(), Pi()]))
        first, second = cluster.ports.values()
        await first.power(True)
        await cluster.replug(5.0)
        assert now() == 5
        assert (first.lit, second.lit, first.cuts) == (True, True, 0)
        await cluster.close()

    clock.run(story())


def test_a_hub_that_is_reset_shows_a_running_node_anew_and_starts_a_boot_over() -> None:
    async def story() -> None:
        cluster = SimCluster(plugged([Pi(), Pi()]))
        first, second = cluster.ports.values()
        runs, boots = (port.pi for port in (first, second))
        assert runs is not None
        assert boots is not None
        await second.power(True)
        runs.running = True
        arrivals = cluster.bus.arrivals()
        rom = await anext(arrivals)
        await cluster.reset()
        gadget = await anext(arrivals)
        assert (gadget.location, gadget.stage, runs.running) == (first.location, Stage.GADGET, True)
        assert rom.gone
        assert (await anext(arrivals)).stage is Stage.ROM
        await cluster.close()

    clock.run(story())


def test_two_pis_that_are_swapped_live_on_in_each_others_port() -> None:
    async def story() -> None:
        cluster = SimCluster(plugged([Pi(), Pi()]))
        one, other = cluster.ports
        pis = cluster.pi(one), cluster.pi(other)
        await cluster.swap(one, other)
        assert (cluster.pi(other), cluster.pi(one)) == pis

    clock.run(story())
