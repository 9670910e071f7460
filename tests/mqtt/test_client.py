"""The client against real brokers: what it publishes, and when it is online."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from terrible.model import Answer, Event, Phase, Request
from terrible.mqtt.outbox import QUEUED

from .agent import ALL_UP, Agent, agent, tree, without_summary
from .brokers import Wire, make, observing, run, running, stopped, until
from .examples import BASE, INFO, SLOTS, extra, progress, report, transcript

both = pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])


@both
def test_the_tree_after_connect(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        news = (*ALL_UP, transcript("node1"))
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *news):
                await until(lambda: without_summary(observer.held) == tree(*news), 2.0)
                order = [topic.removeprefix(f"{BASE}/") for topic, *_ in observer.seen]
                assert order[:3] == ["status", "info", "node/node1/state"]
                assert order[-1] == "summary"
            async with observing(broker.port) as late:
                await until(lambda: len(late.held) == 12)
                assert without_summary(late.held) == tree(*news, online=False)
                assert json.loads(late.held[f"{BASE}/summary"])["up"] == 4
                assert {(t, qos, retained) for t, _, qos, retained in late.seen if (qos,retained) != (1,True)} == set()

    run(test())


@both
def test_news_while_connected(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            running(make(kind, tmp_path)) as broker,
            observing(broker.port) as observer,
            agent(broker.port, *ALL_UP) as told,
        ):
            await until(lambda: len(observer.held) == 11)
            told.tell(report(SLOTS[0], Phase.LOST), Event(SLOTS[0], "lost", "gone"), progress(1), progress(2))
            await until(lambda: observer.held[f"{BASE}/node/node1/status"] == b"offline")
            await until(lambda: len(observer.on(f"{BASE}/node/node1/event")) == 1)
            await until(lambda: len(observer.on(f"{BASE}/node/node1/progress")) == 2)
            qos = {topic: (qos, retained) for topic, _, qos, retained in observer.seen}
            assert qos[f"{BASE}/node/node1/event"] == (1, False)
            assert qos[f"{BASE}/node/node1/progress"] == (0, False)

    run(test())


@both
def test_a_clean_stop_says_offline_after_the_last_news(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            told = Agent(broker.port)
            told.tell(*ALL_UP)
            await until(lambda: observer.held.get(f"{BASE}/status") == b"online" and len(observer.held) == 11)
            told.tell(report(SLOTS[3], Phase.OFF))
            assert await told.stop() < 1.0
            await until(lambda: observer.held[f"{BASE}/status"] == b"offline")
            assert b'"off"' in observer.held[f"{BASE}/node/node4/state"]
            assert observer.on(f"{BASE}/status") == [b"online", b"offline"], "said once, and no will"

    run(test())


@both
def test_the_will_when_the_line_is_cut(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            wire = Wire(broker.port)
            await wire.start()
            async with agent(wire.port, *ALL_UP):
                await until(lambda: observer.held.get(f"{BASE}/status") == b"online")
                await wire.cut()
                await until(lambda: observer.held[f"{BASE}/status"] == b"offline")
                await wire.start()
                await until(lambda: observer.held[f"{BASE}/status"] == b"online")
            await wire.cut()

    run(test())


@both
def test_topics_of_slots_that_are_gone_are_cleared(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        kept = {f"{BASE}/node/node1/boot": b"an old transcript", "terrible/other/node/old/state": b"no business"}
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            for leaf in ("state", "status", "boot"):
                await observer.client.publish(f"{BASE}/node/old/{leaf}", b"stale", 1, True)
            for topic, payload in kept.items():
                await observer.client.publish(topic, payload, 1, True)
            await until(lambda: len(observer.held) == 5)
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: without_summary(observer.held) == {**tree(*ALL_UP), **kept}, 2.0)
                told.tell(report(extra("p1-1-9")))
                await until(lambda: f"{BASE}/node/p1-1-9/state" in observer.held)
                told.tell(INFO)
                await until(lambda: without_summary(observer.held) == {**tree(*ALL_UP), **kept})

    run(test())


def test_stale_topics_wait_until_the_slots_are_known(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            await observer.client.publish(f"{BASE}/node/node1/boot", b"kept", 1, True)
            await observer.client.publish(f"{BASE}/node/old/boot", b"stale", 1, True)
            async with agent(broker.port) as told:
                await until(lambda: observer.held.get(f"{BASE}/status") == b"online")
                # What it must not do has no end to wait for: a round trip of its own stands in.
                await observer.client.publish(f"{BASE}/request/dance", b"{}", 1)
                await until(lambda: len(observer.on(f"{BASE}/response/dance")) == 1)
                assert len(observer.held) == 3
                told.tell(*ALL_UP)
                await until(lambda: f"{BASE}/node/old/boot" not in observer.held)
                assert observer.held[f"{BASE}/node/node1/boot"] == b"kept"

    run(test())


@both
def test_commands(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            say = observer.client.publish
            await say(f"{BASE}/node/node1/power/set", b"off", 1, True)
            await say(f"{BASE}/request/boot", b'{"id":"old","slots":"all"}', 1, True)
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: observer.held.get(f"{BASE}/status") == b"online")
                await say(f"{BASE}/node/node2/power/set", b"cycle", 1)
                await say(f"{BASE}/node/node3/power/set", b"explode", 1)
                for _ in range(2):
                    await say(f"{BASE}/request/boot", b'{"id":"r1","slots":"node[1-2]"}', 1)
                await say(f"{BASE}/request/boot", b'{"slots":"node1"}', 1)
                await until(lambda: len(told.asked) == 2 and len(observer.on(f"{BASE}/response/boot")) == 1)
                boot = Request("boot", "node[1-2]", id="r1")
                assert told.asked == [Request("power", "node2", "cycle"), boot], "and nothing that was retained"
                told.broker.answer(boot, Answer("accepted"))
                told.broker.answer(boot, Answer("done", {"up": 2}))
                await until(lambda: len(observer.on(f"{BASE}/response/boot")) == 3)
                answers = [json.loads(payload) for payload in observer.on(f"{BASE}/response/boot")]
                assert [(a["id"], a["ok"], a["status"]) for a in answers] == [
                    (None, False, "error"), ("r1", True, "accepted"), ("r1", True, "done"),
                ]  # fmt: skip
                (event,) = map(json.loads, observer.on(f"{BASE}/node/node3/event"))
                assert (event["event_type"], event["data"]["code"]) == ("refused", "bad_request")

    run(test())


def test_refused_words_are_events_and_accepted_ones_are_silent(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP) as told:
                word = Request("power", "node1", "off")
                told.broker.answer(word, Answer("accepted"))
                told.broker.answer(Request("power", "nobody", "off"), Answer("error", code="unknown_slot"))
                told.broker.answer(word, Answer("error", code="busy", message="flashing"))
                await until(lambda: len(observer.on(f"{BASE}/node/node1/event")) == 1)
                assert not any("nobody" in topic for topic, *_ in observer.seen)

    run(test())


def test_more_requests_than_anybody_reads_are_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            told = Agent(broker.port)
            await until(lambda: observer.held.get(f"{BASE}/status") == b"online")
            told.collecting.cancel()
            for number in range(105):
                await observer.client.publish(f"{BASE}/request/boot", b'{"id":"%d","slots":"all"}' % number, 1)
            await until(lambda: len(observer.on(f"{BASE}/response/boot")) == 5)
            answers = [json.loads(payload) for payload in observer.on(f"{BASE}/response/boot")]
            assert {answer["error"]["code"] for answer in answers} == {"busy"}
            await told.stop()

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
                told.tell(report(SLOTS[number % 4], since=float(number)), progress(number))
            for number in range(2 * QUEUED):
                told.tell(Event(SLOTS[0], "again", str(number)))
            assert len(told.broker._outbox) == QUEUED + 11
            assert not told.task.done()
            async with running(broker), observing(broker.port) as observer:
                last = [report(SLOTS[n], since=99_996.0 + n) for n in range(4)]
                await until(lambda: without_summary(observer.held) == tree(INFO, *last), 10.0)
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
                await until(lambda: observer.held.get(f"{BASE}/status") == b"online")
                await stopped(told.task)
                await until(lambda: observer.held[f"{BASE}/status"] == b"offline")
                told.task = asyncio.create_task(told.broker.run())
                await until(lambda: observer.held[f"{BASE}/status"] == b"online")

    run(test())
