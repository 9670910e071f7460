"""The client against real brokers: what it publishes, and when it is online."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from terrible.model import Event, Phase
from terrible.mqtt.outbox import QUEUED
from terrible.mqtt.pace import EVERY

from .agent import ALL_UP, WHOLE, Agent, agent, holds, tree
from .brokers import Wire, make, observing, run, running, stopped, until
from .examples import BASE, INFO, SLOTS, extra, progress, report, reports, transcript

both = pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])


@both
def test_the_tree_after_connect(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        news = (*ALL_UP, transcript("node1"))
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *news):
                await until(lambda: holds(observer, tree(*news)), 2.0)
            async with observing(broker.port) as late:
                await until(lambda: len(late.held) == WHOLE + 1)
                assert holds(late, tree(*news, online=False))
                assert json.loads(late.held[f"{BASE}/summary"])["up"] == 4

    run(test())


def test_order_quality_and_retention(tmp_path: Path) -> None:
    """Of Mosquitto only: amqtt delivers in any order, and with the QoS of the subscription."""

    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: len(observer.seen) == WHOLE)
                order = [topic.removeprefix(f"{BASE}/") for topic, *_ in observer.seen]
                assert order[:3] == ["status", "info", "node/node1/state"]
                assert order[-1] == "summary"
                told.tell(Event(SLOTS[0], "lost", "gone"), progress(1))
                await until(lambda: len(observer.seen) == WHOLE + 2)
                assert [(qos, retained) for *_, qos, retained in observer.seen[-2:]] == [
                    (1, False),
                    (0, False),
                ]
            async with observing(broker.port) as late:
                await until(lambda: len(late.seen) == WHOLE)
                assert {(qos, retained) for *_, qos, retained in late.seen} == {(1, True)}

    run(test())


@both
def test_news_while_connected(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            running(make(kind, tmp_path)) as broker,
            observing(broker.port) as observer,
            agent(broker.port, *ALL_UP) as told,
        ):
            await until(lambda: len(observer.held) == WHOLE)
            told.tell(report(SLOTS[0], Phase.LOST), Event(SLOTS[0], "lost", "gone"), progress(1), progress(2))
            await until(lambda: observer.held[f"{BASE}/node/node1/status"] == b"offline")
            await until(lambda: len(observer.on(f"{BASE}/node/node1/event")) == 1)
            await until(lambda: len(observer.on(f"{BASE}/node/node1/progress")) == 2)

    run(test())


@both
def test_a_clean_stop_says_offline_after_the_last_news(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            told = Agent(broker.port)
            told.tell(*ALL_UP)
            await until(lambda: observer.status == "online" and len(observer.held) == WHOLE)
            for slot in SLOTS:
                told.tell(report(slot, Phase.OFF))
            told.task.cancel()  # before a turn of the loop could publish it
            await asyncio.sleep(0)
            assert await told.stop() < 1.0  # which cancels it again
            await until(lambda: observer.status == "offline")
            assert holds(observer, tree(INFO, *reports(Phase.OFF), online=False))
            assert observer.on(f"{BASE}/status") == [b"online", b"offline"], "said once, and no will"

    run(test())


def test_the_last_news_of_many_slots_is_out_before_offline(tmp_path: Path) -> None:
    """One at a time they would take longer than a stop may: the broker confirms late, 40 ms each."""

    async def test() -> None:
        many = [extra(f"p1-1-{port}") for port in range(1, 61)]
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            told = Agent(broker.port)
            told.tell(*(report(slot, Phase.UP) for slot in many))
            await until(lambda: len(observer.on(f"{BASE}/node/p1-1-60/status")) == 1)
            told.tell(*(report(slot, Phase.OFF) for slot in many))
            await told.stop()
            await until(lambda: observer.status == "offline")
            assert {observer.held[f"{BASE}/node/{slot.name}/status"] for slot in many} == {b"offline"}

    run(test())


@both
def test_the_will_when_the_line_is_cut(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            wire = Wire(broker.port)
            await wire.start()
            async with agent(wire.port, *ALL_UP):
                await until(lambda: observer.status == "online")
                await wire.cut()
                await until(lambda: observer.status == "offline")
                await wire.start()
                await until(lambda: observer.status == "online")
            await wire.cut()

    run(test())


@both
def test_topics_of_slots_that_are_gone_are_cleared(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        kept = {f"{BASE}/node/node1/boot": b"an old transcript", "terrible/other/node/old/state": b"theirs"}
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            for leaf in ("state", "status", "boot"):
                await observer.client.publish(f"{BASE}/node/old/{leaf}", b"stale", 1, True)
            for topic, payload in kept.items():
                await observer.client.publish(topic, payload, 1, True)
            await until(lambda: len(observer.held) == 5)
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: holds(observer, {**tree(*ALL_UP), **kept}), 2.0)
                told.tell(report(extra("p1-1-9")))
                await until(lambda: f"{BASE}/node/p1-1-9/state" in observer.held)
                told.tell(INFO)
                await until(lambda: holds(observer, {**tree(*ALL_UP), **kept}))

    run(test())


def test_progress_ends_with_the_phase(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: len(observer.held) == WHOLE)
                told.tell(progress(1), progress(2), report(SLOTS[0], Phase.STARTING), progress(3))
                await until(lambda: len(observer.on(f"{BASE}/node/node1/progress")) == 2)
                told.tell(progress(4), report(SLOTS[0], Phase.UP))
                await asyncio.sleep(1.5 * EVERY)  # nothing to wait for: it must not come
                sent = [json.loads(payload)["sent"] for payload in observer.on(f"{BASE}/node/node1/progress")]
                assert sent == [1, 3]

    run(test())


def test_stale_topics_wait_until_the_slots_are_known(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            await observer.client.publish(f"{BASE}/node/node1/boot", b"kept", 1, True)
            await observer.client.publish(f"{BASE}/node/old/boot", b"stale", 1, True)
            async with agent(broker.port) as told:
                await until(lambda: observer.status == "online")
                # What it must not do has no end to wait for: a round trip of its own stands in.
                await observer.client.publish(f"{BASE}/request/dance", b"{}", 1)
                await until(lambda: len(observer.on(f"{BASE}/response/dance")) == 1)
                assert len(observer.held) == 3
                told.tell(*ALL_UP)
                await until(lambda: f"{BASE}/node/old/boot" not in observer.held)
                assert observer.held[f"{BASE}/node/node1/boot"] == b"kept"

    run(test())


def test_telling_without_a_broker_stays_small_and_arrives_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def test() -> None:
        broker = make("mosquitto", tmp_path)
        async with agent(broker.port, *ALL_UP) as told:
            await until(lambda: "no broker" in caplog.text)
            for number in range(100_000):
                told.tell(
                    progress(number) if number % 8 > 3 else report(SLOTS[number % 8], since=float(number))
                )
            for number in range(2 * QUEUED):
                told.tell(Event(SLOTS[0], "again", str(number)))
            assert len(told.broker._outbox) == QUEUED + WHOLE
            assert not told.task.done()
            async with running(broker), observing(broker.port) as observer:
                last = [report(SLOTS[n], since=99_992.0 + n) for n in range(4)]
                await until(lambda: holds(observer, tree(INFO, *last)), 10.0)
                await until(lambda: len(observer.on(f"{BASE}/node/node1/event")) == QUEUED)
                assert b'"1999"' in observer.on(f"{BASE}/node/node1/event")[-1]
                assert observer.on(f"{BASE}/node/node1/progress") == []

    run(test())
    assert caplog.text.count("no broker at") == 1
    assert caplog.text.count("connected to the broker") == 1


def test_a_stop_while_there_is_no_broker(tmp_path: Path) -> None:
    async def test() -> None:
        told = Agent(make("mosquitto", tmp_path).port)
        told.tell(*ALL_UP)
        await asyncio.sleep(0)
        assert await told.stop() < 0.6

    run(test())


def test_a_second_run_is_online_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: observer.status == "online")
                await stopped(told.task)
                await until(lambda: observer.status == "offline")
                told.task = asyncio.create_task(told.broker.run())
                await until(lambda: observer.status == "online")

    run(test())
