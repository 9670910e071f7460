"""The client against real brokers: what people ask, and what they are answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrible.model import Answer, Request

from .agent import ALL_UP, Agent, agent
from .brokers import make, observing, run, running, until
from .examples import BASE

both = pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])


@both
def test_commands(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make(kind, tmp_path)) as broker, observing(broker.port) as observer:
            say = observer.client.publish
            await say(f"{BASE}/node/node1/power/set", b"off", 1, True)
            await say(f"{BASE}/request/boot", b'{"id":"old","slots":"all"}', 1, True)
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: observer.status == "online")
                await say(f"{BASE}/node/node2/power/set", b"cycle", 1)
                await say(f"{BASE}/node/node3/power/set", b"explode", 1)
                for _ in range(2):
                    await say(f"{BASE}/request/boot", b'{"id":"r1","slots":"node[1-2]"}', 1)
                await say(f"{BASE}/request/boot", b'{"slots":"node1"}', 1)
                await until(lambda: len(told.asked) == 2 and len(observer.on(f"{BASE}/response/boot")) == 1)
                boot = Request("boot", "node[1-2]", id="r1")
                assert told.asked == [Request("power", "node2", "cycle"), boot], "nothing retained"
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
            await until(lambda: observer.status == "online")
            told.collecting.cancel()
            for number in range(105):
                request = b'{"id":"%d","slots":"all"}' % number
                await observer.client.publish(f"{BASE}/request/boot", request, 1)
            await until(lambda: len(observer.on(f"{BASE}/response/boot")) == 5)
            answers = [json.loads(payload) for payload in observer.on(f"{BASE}/response/boot")]
            assert {answer["error"]["code"] for answer in answers} == {"busy"}
            await told.stop()

    run(test())
