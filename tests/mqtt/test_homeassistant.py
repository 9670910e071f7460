"""Home Assistant's topics: no orphans, nobody else's touched, and all of it again when it starts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from terrible.model import Info, Phase
from terrible.mqtt import discovery, homeassistant
from terrible.mqtt.homeassistant import JITTER, OFF, Discovery, HomeAssistant
from terrible.mqtt.outbox import Outbox
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Topics
from tests import clock

from .agent import ALL_UP, agent
from .brokers import Observer, make, observing, run, running, until
from .examples import BASE, CLUSTER, INFO, SLOTS, report

ON = Discovery()
TOPICS = Topics(CLUSTER)
FEWER = replace(INFO, slots=SLOTS[:3])
RENAMED = replace(INFO, slots=(replace(SLOTS[0], name="alpha"), *SLOTS[1:]))
THEIRS = {
    "homeassistant/device/terrible_rack-2_node1/config": discovery.publications(
        replace(INFO, cluster="rack-2"), Topics("rack-2"), "homeassistant"
    )[1].payload,
    "homeassistant/device/terrible_rack-1_sauna/config": b'{"device":{"identifiers":["sauna"]}}',
    "homeassistant/device/0x00158d/config": b'{"origin":{"name":"Zigbee"}}',
    "homeassistant/sensor/x/config": b"{}",
}


def told(info: Info) -> dict[str, bytes]:
    return {p.topic: p.payload for p in discovery.publications(info, TOPICS, "homeassistant")}


def config(name: str) -> str:
    return f"homeassistant/device/terrible_rack-1_{name}/config"


async def drained(outbox: Outbox) -> dict[str, bytes]:
    taken = [await outbox.take() for _ in range(len(outbox))]
    for key, publication in taken:
        outbox.confirm(key, publication)
    return {publication.topic: publication.payload for _, publication in taken}


# -- which topics ------------------------------------------------------------------------------------


def test_a_renamed_slot_leaves_no_orphan() -> None:
    async def test() -> None:
        outbox = Outbox(TOPICS)
        home = HomeAssistant(ON, TOPICS, outbox)
        home.learn(INFO)
        assert await drained(outbox) == told(INFO)
        home.learn(RENAMED)
        assert await drained(outbox) == {
            config("node1"): b"",
            config("alpha"): told(RENAMED)[config("alpha")],
        }
        home.learn(RENAMED)
        assert await drained(outbox) == {}, "nothing has changed"

    run(test())


def test_what_an_earlier_run_left_waits_until_the_slots_are_known() -> None:
    async def test() -> None:
        outbox = Outbox(TOPICS)
        home = HomeAssistant(ON, TOPICS, outbox)
        for topic, payload in {**told(INFO), **THEIRS}.items():
            home.hears(topic, payload)
        assert await drained(outbox) == {}
        home.learn(FEWER)
        assert await drained(outbox) == {**told(FEWER), config("node4"): b""}
        assert home.hears(config("node3"), told(INFO)[config("node3")]), "the echo of one that is wanted"
        assert home.hears(config("old"), told(INFO)[config("node3")]), "one that comes late"
        assert await drained(outbox) == {config("old"): b""}

    run(test())


def test_off_clears_what_was_told_before_and_tells_nothing() -> None:
    async def test() -> None:
        outbox = Outbox(TOPICS)
        home = HomeAssistant(OFF, TOPICS, outbox)
        for topic, payload in {**told(INFO), **THEIRS}.items():
            home.hears(topic, payload)
        home.learn(INFO)
        assert await drained(outbox) == dict.fromkeys(told(INFO), b"")
        assert home.births == ()

    run(test())


def test_a_stranger_cannot_fill_it() -> None:
    home = HomeAssistant(ON, TOPICS, Outbox(TOPICS))
    for number in range(10_000):
        home.hears(config(f"n{number}"), told(INFO)[config("node1")])
    assert len(home._found) == 4096


def test_what_belongs_to_the_contract_is_left_to_it() -> None:
    home = HomeAssistant(ON, TOPICS, Outbox(TOPICS))
    assert not home.hears(f"{BASE}/request/boot", b"{}")
    assert not home.hears(f"{BASE}/status", b"online")


# -- its start -------------------------------------------------------------------------------------


def test_all_is_told_again_once_within_seconds_of_its_start() -> None:
    async def test() -> None:
        outbox = Outbox(TOPICS)
        home = HomeAssistant(ON, TOPICS, outbox)
        home.learn(INFO)
        await drained(outbox)
        home.hears("homeassistant/status", b"online")  # before this connection: that has published all
        following = asyncio.create_task(home.follow())
        await asyncio.sleep(2 * JITTER)
        home.hears("homeassistant/status", b"offline")
        await asyncio.sleep(2 * JITTER)
        assert await drained(outbox) == {}
        for _ in range(3):
            home.hears("homeassistant/status", b"online")
        await asyncio.sleep(JITTER + 0.001)
        assert await drained(outbox) == told(INFO)
        await asyncio.sleep(2 * JITTER)
        assert await drained(outbox) == {}
        following.cancel()

    clock.run(test())


def test_many_clusters_do_not_answer_at_the_same_moment() -> None:
    async def test() -> None:
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        waits = []
        for _ in range(40):
            outbox = Outbox(TOPICS)
            home = HomeAssistant(ON, TOPICS, outbox)
            following = asyncio.create_task(home.follow())
            await asyncio.sleep(0)
            began = loop.time()
            outbox.tree["t"] = Publication("t", b"1")
            home.hears("homeassistant/status", b"online")
            await outbox.take()
            waits.append(loop.time() - began)
            following.cancel()
        assert max(waits) <= JITTER
        assert max(waits) - min(waits) > JITTER / 3

    clock.run(test())


# -- with a broker -----------------------------------------------------------------------------------


def discovered(observer: Observer) -> dict[str, bytes]:
    return {topic: p for topic, p in observer.held.items() if topic.startswith("homeassistant/")}


def test_discovery_follows_the_tree_and_the_slots(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP, discovery=ON) as agent_:
                await until(lambda: discovered(observer) == told(INFO))
                order = [topic for topic, *_ in observer.seen]
                assert order.index(f"{BASE}/summary") < order.index(
                    "homeassistant/device/terrible_rack-1/config"
                )
                agent_.tell(RENAMED)
                await until(lambda: discovered(observer) == told(RENAMED))
            await until(lambda: observer.status == "offline")
            assert discovered(observer) == told(RENAMED), "its devices stay, as unavailable"

    run(test())


@pytest.mark.parametrize(("later", "left"), [(ON, told(FEWER)), (OFF, {})], ids=["a slot less", "off"])
def test_no_orphan_outlives_a_restart_and_nobody_elses_device_is_touched(
    tmp_path: Path, later: Discovery, left: dict[str, bytes]
) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            for topic, payload in THEIRS.items():
                await observer.client.publish(topic, payload, 1, True)
            async with agent(broker.port, *ALL_UP, discovery=ON):
                await until(lambda: discovered(observer) == {**told(INFO), **THEIRS})
            async with agent(broker.port, FEWER, discovery=later):
                await until(lambda: discovered(observer) == {**left, **THEIRS})
            assert {topic for topic, payload, *_ in observer.seen if not payload} & {*THEIRS} == set()

    run(test())


NODE4 = [config("node4"), f"{BASE}/node/node4/state"]


def withdrawn(observer: Observer) -> list[str]:
    return [topic for topic, payload, *_ in observer.seen if topic in NODE4 and not payload]


@pytest.mark.parametrize("meanwhile", [False, True], ids=["in one run", "between two runs"])
def test_a_device_is_withdrawn_before_the_topics_it_names(tmp_path: Path, meanwhile: bool) -> None:
    """Home Assistant would complain of states that are empty."""

    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP, discovery=ON) as agent_:
                await until(lambda: {*NODE4} <= {*observer.held})
                if not meanwhile:
                    agent_.tell(FEWER)
                    await until(lambda: withdrawn(observer) == NODE4)
            if meanwhile:
                async with agent(broker.port, FEWER, discovery=ON):
                    await until(lambda: withdrawn(observer) == NODE4)

    run(test())


def test_birth_brings_devices_and_states_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homeassistant, "JITTER", 0.2)

    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP, discovery=ON) as agent_:
                await until(lambda: discovered(observer) == told(INFO))
                agent_.tell(report(SLOTS[0], Phase.LOST))
                await until(lambda: b'"up":3' in observer.held[f"{BASE}/summary"], why="the last of the news")
                held, seen = dict(observer.held), len(observer.seen)
                await observer.client.publish("homeassistant/status", b"online")
                await until(lambda: len(observer.seen) == seen + 1 + len(held))
                again = {topic: payload for topic, payload, *_ in observer.seen[seen + 1 :]}
                assert again == held

    run(test())
