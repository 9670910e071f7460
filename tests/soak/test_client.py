"""Over real brokers: the soak's MQTT side against a real agent on simulated Pis, fifty times as fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from terrible.cli import demo
from terrible.cli.soak import Simulate, boards, connected, limits
from terrible.mqtt.address import BrokerAddress
from terrible.soak.client import MqttHead
from terrible.soak.record import Cycle
from terrible.soak.run import Book, choose, meet, soak
from tests.cluster import boot_directory
from tests.mqtt import brokers

from .head import plan

SPEED = 50.0


@asynccontextmanager
async def agent(base: Path, address: BrokerAddress, nodes: int) -> AsyncIterator[None]:
    """A real agent over simulated Pis, until the block ends."""
    pis = boards(Simulate(nodes, SPEED, None, 0.0))
    simulated = demo.Simulated(pis, SPEED, limits(SPEED))
    async with demo.cluster(simulated, boot_directory(base / "boot"), address):
        yield


def book(reached: int, then: Callable[[], None]) -> Book:
    """One that calls `then` once so many cycles are in it."""

    def write(cycle: Cycle) -> None:
        if len(kept.cycles) == reached:
            then()

    kept = Book(write)
    return kept


async def soaked(head: MqttHead, cycles: int, kept: Book) -> None:
    info = await meet(head.view, demo.CLUSTER)
    wanted = plan(cycles)
    await soak(head, choose(wanted, head.view, info), wanted, kept)


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_it_cycles_every_slot_through_a_real_broker(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(brokers.running(brokers.make(kind, tmp_path)))
            address = BrokerAddress("127.0.0.1", broker.port)
            await stack.enter_async_context(agent(tmp_path, address, 2))
            head = await stack.enter_async_context(connected(address, demo.CLUSTER))
            kept = Book(lambda cycle: None)
            await soaked(head, 2, kept)
        assert sorted((c.slot, c.number, c.outcome) for c in kept.cycles) == [
            (f"node{slot}", number, "up") for slot in (1, 2) for number in (1, 2)
        ]
        assert all(cycle.stages and cycle.firmware for cycle in kept.cycles)

    brokers.run(story())


def test_a_broker_that_dies_and_comes_back_does_not_lose_the_run(tmp_path: Path) -> None:
    async def story() -> None:
        died = asyncio.Event()
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(brokers.running(brokers.make("mosquitto", tmp_path)))
            address = BrokerAddress("127.0.0.1", broker.port)
            await stack.enter_async_context(agent(tmp_path, address, 2))
            head = await stack.enter_async_context(connected(address, demo.CLUSTER))
            kept = book(2, died.set)
            soaking = asyncio.create_task(soaked(head, 4, kept))
            await died.wait()
            await broker.kill()
            await brokers.until(lambda: not head.view.online, why="the soak notices")
            await broker.start()
            await soaking
        assert [cycle.outcome for cycle in kept.cycles] == ["up"] * 8
        assert kept.notes == []

    brokers.run(story())


def test_an_agent_that_is_started_anew_costs_only_the_cycles_it_cut(tmp_path: Path) -> None:
    async def story() -> None:
        restart = asyncio.Event()
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(brokers.running(brokers.make("mosquitto", tmp_path)))
            address = BrokerAddress("127.0.0.1", broker.port)
            head = await stack.enter_async_context(connected(address, demo.CLUSTER))
            kept = book(2, restart.set)
            async with agent(tmp_path, address, 2):
                soaking = asyncio.create_task(soaked(head, 3, kept))
                await restart.wait()
            async with agent(tmp_path, address, 2):
                await soaking
        outcomes = [cycle.outcome for cycle in kept.cycles]
        assert outcomes.count("up") == 6
        assert set(outcomes) == {"up", "interrupted"}

    brokers.run(story())
