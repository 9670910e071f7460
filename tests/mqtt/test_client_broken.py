"""The client when brokers die, freeze and come back, and when it is stopped anywhere."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from terrible.model import Event, Phase
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.client import MqttBroker

from .agent import ALL_UP, Agent, agent, holds, tree
from .brokers import Mosquitto, Observer, Wire, free_port, make, observing, run, running, stopped, until
from .examples import BASE, INFO, SLOTS, report


def test_a_broker_killed_and_restarted_has_the_whole_tree(tmp_path: Path) -> None:
    async def test() -> None:
        broker = make("mosquitto", tmp_path)
        async with agent(broker.port, *ALL_UP) as told:
            for since in range(5):
                latest = [report(slot, Phase.UP, 1000.0 + since) for slot in SLOTS]
                async with running(broker), observing(broker.port) as observer:
                    told.tell(*latest)
                    await until(lambda: observer.status == "online", 10.0)
                    await until(partial(holds, observer, tree(INFO, *latest)), 2.0)
                    await broker.kill()
                told.tell(report(SLOTS[0], Phase.LOST, 1000.0 + since))

    run(test())


def test_events_under_way_when_the_line_is_cut_come_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            wire = Wire(broker.port)
            await wire.start()
            async with agent(wire.port, *ALL_UP) as told:
                await until(lambda: observer.status == "online")
                for number in range(500):
                    told.tell(Event(SLOTS[0], "again", f"<{number}>"))
                    if number == 250:
                        await until(lambda: len(observer.on(f"{BASE}/node/node1/event")) > 20)
                        await wire.cut()
                        await wire.start()
                await until(lambda: all(_told(observer, number) for number in range(500)), 10.0)
            await wire.cut()

    run(test())


def _told(observer: Observer, number: int) -> bool:
    return any(b"<%d>" % number in payload for payload in observer.on(f"{BASE}/node/node1/event"))


def test_a_frozen_broker_delays_no_stop(tmp_path: Path) -> None:
    async def test() -> None:
        broker = Mosquitto(tmp_path)
        async with running(broker), observing(broker.port) as observer:
            told = Agent(broker.port)
            told.tell(*ALL_UP)
            await until(lambda: observer.status == "online")
            assert broker.process is not None
            os.kill(broker.process.pid, signal.SIGSTOP)
            for number in range(5_000):
                told.tell(report(SLOTS[0], since=float(number)), Event(SLOTS[0], "again", "x" * 200))
            assert await told.stop() < 2.0
            os.kill(broker.process.pid, signal.SIGCONT)
            await until(lambda: observer.status == "offline")

    run(test())


def test_a_stop_at_any_moment_is_prompt_and_leaves_offline(tmp_path: Path) -> None:
    async def test() -> None:
        chance = random.Random(7)
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            for _ in range(60):
                told = Agent(broker.port)
                told.tell(*ALL_UP)
                for _ in range(chance.randrange(40)):
                    await asyncio.sleep(0)
                await asyncio.sleep(chance.choice([0, 0, 0.001, 0.003, 0.01]))
                assert await told.stop() < 1.0
                await until(lambda: observer.status in ("", "offline"))

    run(test())


def test_a_stop_together_with_a_cut_line(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            for turns in range(12):
                wire = Wire(broker.port)
                await wire.start()
                told = Agent(wire.port)
                told.tell(*ALL_UP)
                await until(lambda: observer.status == "online")
                cutting = asyncio.create_task(wire.cut())
                for _ in range(turns):
                    await asyncio.sleep(0)
                assert await told.stop() < 2.0
                await cutting
                await until(lambda: observer.status == "offline")

    run(test())


def test_an_error_of_ours_is_logged_and_the_next_connection_is_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: observer.status == "online")
                with monkeypatch.context() as broken:
                    broken.setattr(told.broker, "_obey", None)
                    await observer.client.publish(f"{BASE}/node/node1/power/set", b"on", 1)
                    await until(lambda: "an error of ours" in caplog.text)
                await until(lambda: observer.on(f"{BASE}/status") == [b"online", b"online"])
                await observer.client.publish(f"{BASE}/node/node1/power/set", b"on", 1)
                await until(lambda: len(told.asked) == 1)

    run(test())


def test_a_broker_that_hangs_up_is_tried_again_soon(tmp_path: Path) -> None:
    async def test() -> None:
        calls = 0

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal calls
            calls += 1
            writer.transport.abort()

        async with await asyncio.start_server(hang_up, "127.0.0.1", port := free_port()), agent(port):
            await until(lambda: calls == 3, 3.0)

    run(test())


# A failed TLS handshake leaves paho's socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize(
    ("tls", "ca_file"), [(True, "/nowhere/ca.pem"), (True, None), (False, None)], ids=["ca", "tls", "plain"]
)
def test_what_cannot_be_connected_to_never_raises(tls: bool, ca_file: str | None, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker:
            port = broker.port if tls else free_port()
            client = MqttBroker(BrokerAddress("127.0.0.1", port, "me", "secret", tls, ca_file), "c", "s")
            task = asyncio.create_task(client.run())
            await until(lambda: client._keeper._noted != "" or task.done())
            assert not task.done()
            assert "secret" not in client._keeper._noted
            assert await stopped(task) < 1.0

    run(test())
    gc.collect()
