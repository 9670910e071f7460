"""Two agents of one cluster's name at one broker."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aiomqtt import ProtocolVersion

from terrible.mqtt.rival import ANSWER, Rival

from .agent import ALL_UP, Agent, agent, holds, tree
from .brokers import Observer, Wire, free_port, make, observing, run, running, until
from .examples import BASE, CLUSTER

both = pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
STATUS = f"{BASE}/status"


@both
def test_the_second_finds_the_first_and_does_not_disturb_it(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP) as first:
                await until(lambda: holds(observer, tree(*ALL_UP)))
                second = Agent(broker.port, session="s2")
                with pytest.raises(
                    Rival, match=r"'head' already runs the cluster rack-1 .* another name"
                ) as caught:
                    async with asyncio.timeout(ANSWER + 0.5):
                        await second.task
                assert caught.value.exit_code == 78
                second.collecting.cancel()
                await still_answers(observer)
                assert first.broker._keeper.connected
                assert observer.on(STATUS) == [b"online"]
                assert holds(observer, tree(*ALL_UP))

    run(test())


async def still_answers(observer: Observer) -> None:
    await observer.client.publish(f"{BASE}/request/status", b'{"id":"still there?"}', 1)
    await until(lambda: any(b'"still there?"' in p for p in observer.on(f"{BASE}/response/status")))


@both
def test_an_online_that_nobody_stands_for_costs_three_seconds(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            await observer.client.publish(STATUS, b"online", 1, True)
            await until(lambda: observer.status == "online")
            began = time.monotonic()
            async with agent(broker.port, *ALL_UP):
                await until(lambda: holds(observer, tree(*ALL_UP)))
                assert ANSWER <= time.monotonic() - began < ANSWER + 0.6

    run(test())


def test_one_that_had_ended_properly_costs_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP):
                await until(lambda: observer.status == "online")
            await until(lambda: observer.status == "offline")
            began = time.monotonic()
            async with agent(broker.port, *ALL_UP):
                await until(lambda: observer.status == "online")
                assert time.monotonic() - began < 1.0

    run(test())


def test_one_on_a_dead_line_is_replaced_and_stays_away_when_it_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            wire = Wire(broker.port)
            await wire.start()
            async with agent(wire.port, *ALL_UP) as first:
                await until(lambda: observer.status == "online")
                wire.stalled = True
                second = Agent(broker.port, session="s2")
                second.tell(*ALL_UP)
                await until(lambda: second.broker._keeper.connected, ANSWER + 1)
                await wire.cut()
                await wire.start()
                await until(lambda: "stays away from the broker" in caplog.text, 10.0)
                said = len(observer.on(STATUS))
                await still_answers(observer)
                assert observer.status == "online"
                assert len(observer.on(STATUS)) == said
                assert not first.task.done()
                await second.stop()
                await until(lambda: first.broker._keeper.connected, 10.0, "nobody answers any more")
            await wire.cut()

    run(test())


def test_two_that_start_together_agree_on_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            agents = [Agent(broker.port, session=session) for session in ("s1", "s2")]
            for one in agents:
                one.tell(*ALL_UP)
            await until(lambda: "stays away from the broker" in caplog.text)
            await until(lambda: observer.status == "online")
            said = len(observer.on(STATUS))
            await still_answers(observer)
            assert len(observer.on(STATUS)) == said
            assert sum(one.broker._keeper.connected for one in agents) == 1
            for one in agents:
                await one.stop()

    run(test())


def test_a_broker_that_says_who_has_taken_the_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Mosquitto 2.0.11 says nothing, newer ones do; this one, of three packets, says nothing else."""

    async def test() -> None:
        async def throw_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK
            await reader.read(100)  # SUBSCRIBE
            # DISCONNECT: Session taken over, with a Reason String, for paho 2.1 overlooks a code alone.
            writer.write(b"\xe0\x06\x8e\x04\x1f\x00\x01x")
            writer.close()

        async with await asyncio.start_server(throw_out, "127.0.0.1", port := free_port()):
            async with agent(port) as told:
                told.broker._keeper._protocol = ProtocolVersion.V5  # as if found out
                await until(lambda: "taken" in caplog.text or "entered" in caplog.text)

    run(test())
    assert f"as terrible-{CLUSTER}; are there two agents of this cluster?" in caplog.text
