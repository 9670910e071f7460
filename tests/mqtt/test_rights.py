"""Who may do what at a Mosquitto with the files that docs/mosquitto ships."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest
from aiomqtt import ProtocolVersion

from terrible.cli.health import broker as health
from terrible.config import Config, MqttConfig
from terrible.model import Answer, Event, Request
from terrible.mqtt import discovery
from terrible.mqtt.commands import VERBS
from terrible.mqtt.connection import Connection
from terrible.mqtt.homeassistant import Discovery
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Kind, Topics
from terrible.remote.line import Line

from .agent import ALL_UP, WHOLE, Agent, agent, holds, tree
from .brokers import Observer, Wire, observing, run, running, stopped, until
from .examples import BASE, CLUSTER, SLOTS, progress, transcript
from .shipped import Guarded, password

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5
protocols = pytest.mark.parametrize("protocol", [V311, V5], ids=["3.1.1", "5"])


def commands() -> list[tuple[str, bytes]]:
    """One of everything that could switch something, or look as if it had been answered."""
    words = [
        (f"{BASE}/node/{name}/power/set", word) for name in ("node1", "node2") for word in (b"on", b"off")
    ]
    asked = {"slots": "all", "force": True, "expires": time.time() + 60}
    requests = [
        (f"{BASE}/{way}/{verb}", json.dumps({"id": f"{way} {verb}", **asked, **more}).encode())
        for way in ("request", "remote/request", "response")
        for verb in sorted(VERBS)
        for more in [{"power": {"action": "off"}, "flash": {"image": "os.img"}}.get(verb, {})]
    ]
    return words + requests


def forgeries() -> list[tuple[str, bytes]]:
    """One of everything that an agent says, as if it were the agent's, and each topic emptied."""
    topics = Topics(CLUSTER)
    said = [kind for kind in Kind if kind not in (Kind.POWER_SET, Kind.REQUEST, Kind.REMOTE)]
    return [
        (topics.of(kind, *["node1", "1"][: kind.count("+")]), payload)
        for kind in said
        for payload in (b"forged", b"")
    ]


@asynccontextmanager
async def entered(broker: Guarded, user: str, protocol: ProtocolVersion = V5) -> AsyncIterator[Connection]:
    connection = Connection(broker.address(user), f"{user}-{secrets.token_hex(4)}", protocol=protocol)
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


async def say_each(connection: Connection, messages: list[tuple[str, bytes]]) -> list[str]:
    """Publish each in every way there is; the topics that the broker says it refused."""
    refused = []
    for (topic, payload), qos, retain in itertools.product(messages, (0, 1, 2), (False, True)):
        await connection.publish(topic, payload, qos, retain)
        if connection.refusal:
            refused.append(topic)
            connection.refusal = ""
    return refused


async def round_trip(broker: Guarded, observer: Observer) -> None:
    """All that was said before has come by now: an answer to what is said now has."""
    async with entered(broker, "operator") as operator:
        await operator.publish(f"{BASE}/request/status", b'{"id":"after all"}', 1)
    await until(lambda: any(b'"after all"' in answer for answer in observer.on(f"{BASE}/response/status")))


@protocols
@pytest.mark.parametrize("user", ["viewer", "homeassistant", "operator"])
def test_nobody_forges_what_the_agent_says(user: str, protocol: ProtocolVersion, tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with agent(broker.address("agent"), *ALL_UP):
                await until(lambda: len(observer.held) == WHOLE)
                seen = len(observer.seen)
                async with entered(broker, user, protocol) as somebody:
                    await say_each(somebody, forgeries())
                await round_trip(broker, observer)
                assert holds(observer, tree(*ALL_UP))
                assert [t for t, *_ in observer.seen[seen:]] == [
                    f"{BASE}/request/status", f"{BASE}/response/status"
                ]  # fmt: skip

    run(test())


@protocols
def test_a_viewer_switches_nothing(protocol: ProtocolVersion, tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with agent(broker.address("agent"), *ALL_UP) as told:
                await until(lambda: len(observer.held) == WHOLE)
                seen = len(observer.seen)
                async with entered(broker, "viewer", protocol) as viewer:
                    refused = await say_each(viewer, commands())
                if protocol is V5:
                    assert refused.count(f"{BASE}/node/node1/power/set") == 2 * 2, "on and off, told by QoS 1"
                await round_trip(broker, observer)
                assert told.asked == []
                assert not told.broker._commands.refused, "not even to be refused by the agent"
                assert len(observer.seen) == seen + 2

    run(test())


@protocols
def test_nor_does_a_viewers_last_will(protocol: ProtocolVersion, tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with agent(broker.address("agent"), *ALL_UP) as told:
                await until(lambda: len(observer.held) == WHOLE)
                wire = Wire(broker.port)
                await wire.start()
                will = Publication(f"{BASE}/node/node1/power/set", b"off", retain=False)
                address = replace(broker.address("viewer"), port=wire.port)
                dying = Connection(address, "dying", will, protocol)
                with contextlib.suppress(aiomqtt.MqttError):  # refused at once, by some brokers
                    await dying.open()
                await wire.cut()
                await dying.close()
                await round_trip(broker, observer)
                assert told.asked == []
                assert not told.broker._commands.refused

    run(test())


@protocols
@pytest.mark.parametrize("user", ["operator", "homeassistant"])
def test_an_operator_switches_but_does_not_pass_for_a_bridge(
    user: str, protocol: ProtocolVersion, tmp_path: Path
) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), agent(broker.address("agent"), *ALL_UP) as told:
            async with (
                observing(broker.address("viewer")) as observer,
                entered(broker, user, protocol) as one,
            ):
                await until(lambda: observer.status == "online")
                for topic, payload in commands():
                    await one.publish(topic, payload, 1)
                await until(lambda: len(told.asked) == 4 + len(VERBS - {"status", "transcript"}))
                assert {r.id for r in told.asked if r.id} == {
                    f"request {verb}" for verb in VERBS - {"status", "transcript"}
                }
                await round_trip(broker, observer)
                assert not told.broker._commands.refused
                assert not any("/remote/" in topic for topic, *_ in observer.seen)

    run(test())


def test_an_agent_says_and_clears_everything_it_has_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        old = f"{BASE}/node/old/boot"
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with entered(broker, "agent") as earlier:
                await earlier.publish(old, b"stale", 1, True)
                await earlier.publish(f"{BASE}/status", b"online", 1, True)  # so that it asks for a rival
            await until(lambda: old in observer.held)
            told = Agent(broker.address("agent"))
            told.tell(*ALL_UP, transcript("node1"))
            await until(lambda: holds(observer, tree(*ALL_UP, transcript("node1"))), 6.0)
            assert json.loads(observer.on(f"{BASE}/request/status")[0])["id"] == "agent-s1"
            told.tell(Event(SLOTS[0], "lost", "gone"), progress(1))
            told.broker.answer(Request("boot", "all", id="1"), Answer("accepted"))
            deep = Request("boot", "all", id="2", reply_to=f"{BASE}/response/for/me")
            told.broker.answer(deep, Answer("accepted"))
            fleeting = ("node/node1/event", "node/node1/progress", "response/boot", "response/for/me")
            await until(lambda: all(observer.on(f"{BASE}/{topic}") for topic in fleeting))
            await told.stop()
            await until(lambda: observer.status == "offline")

    run(test())
    assert "refuses" not in caplog.text


def test_an_agent_does_not_command_itself(tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), entered(broker, "agent") as one:
            refused = await say_each(one, [(t, p) for t, p in commands() if "/response/" not in t])
        allowed = {f"{BASE}/request/status"}  # to ask for a rival
        assert set(refused) == {topic for topic, _ in commands() if "/response/" not in topic} - allowed

    run(test())


def test_home_assistant_and_the_agent_see_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("homeassistant")) as home:
            async with entered(broker, "agent") as earlier:
                left = "homeassistant/device/terrible_rack-1_old/config"
                await earlier.publish(left, discovery._SIGNED.encode() + b"}", 1, True)
            await until(lambda: left in home.held)
            async with agent(broker.address("agent"), *ALL_UP, discovery=Discovery()):
                devices = [f"homeassistant/device/terrible_rack-1_{slot.name}/config" for slot in SLOTS]
                await until(lambda: set(devices) <= home.held.keys() and left not in home.held)
                await home.client.publish("homeassistant/status", b"online", 0)
                await until(lambda: all(len(home.on(device)) == 2 for device in devices), 6.0)

    run(test())
    assert "refuses" not in caplog.text


def test_an_agent_writes_nothing_else_of_home_assistants(tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), entered(broker, "agent") as one:
            topics = ("homeassistant/status", "homeassistant/switch/other/config", "homeassistant/x")
            refused = await say_each(one, [(topic, b"online") for topic in topics])
            assert set(refused) == set(topics)

    run(test())


@pytest.mark.parametrize(("user", "word"), [("stranger", "x"), ("agent", "wrong"), (None, None)])
def test_strangers_do_not_enter(user: str | None, word: str | None, tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker):
            with pytest.raises(aiomqtt.MqttError, match=r"(?i)not authori[sz]ed"):
                async with aiomqtt.Client("127.0.0.1", broker.port, username=user, password=word):
                    pass

    run(test())


def test_check_gets_in_as_the_agent(tmp_path: Path) -> None:
    broker = Guarded(tmp_path)
    asyncio.run(broker.start())
    try:
        (tmp_path / "word").write_text(password("agent"))
        keys = {
            "host": "127.0.0.1",
            "port": broker.port,
            "username": "agent",
            "password_file": tmp_path / "word",
        }
        (found,) = health.findings(Config(cluster=CLUSTER, mqtt=MqttConfig.model_validate(keys)))
        assert found.said.endswith("lets agent in")
    finally:
        asyncio.run(broker.kill())


def test_what_is_too_large_reaches_no_agent(tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with agent(broker.address("agent"), *ALL_UP) as told:
                await until(lambda: observer.status == "online")
                async with (
                    entered(broker, "operator", V311) as large,
                    entered(broker, "operator", V311) as huge,
                ):
                    await large.publish(f"{BASE}/request/boot", b"x" * 300_000, 1)
                    publishing = asyncio.create_task(
                        huge.publish(f"{BASE}/request/boot", b"x" * 2_000_000, 1)
                    )
                    with pytest.raises(aiomqtt.MqttError):  # disconnected
                        async with asyncio.timeout(5):
                            await anext(huge.messages)
                    publishing.cancel()
                await round_trip(broker, observer)
                assert not told.broker._commands.refused
                assert observer.on(f"{BASE}/status") == [b"online"]

    run(test())


def test_an_agent_does_not_say_what_would_have_it_thrown_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be thrown out again after each connect, for it says again what was not confirmed."""

    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with agent(broker.address("agent"), *ALL_UP) as told:
                await until(lambda: len(observer.held) == WHOLE)
                told.tell(Event(SLOTS[0], "again", "x" * 2_000_000), Event(SLOTS[0], "again", "short"))
                await until(lambda: len(observer.on(f"{BASE}/node/node1/event")) == 1)
                assert observer.on(f"{BASE}/status") == [b"online"]

    run(test())
    assert caplog.text.count("the broker refuses what we publish (Packet too large, near") == 1


def test_who_comes_to_a_large_fleet_hears_of_every_slot(tmp_path: Path) -> None:
    """Mosquitto drops what waits beyond 1000 messages by itself, and so do we; it never came."""
    states = {f"{BASE}/node/node{number}/state" for number in range(2500)}

    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), entered(broker, "agent") as teller:
            for topic in sorted(states):
                await teller.send(Publication(topic, b"x" * 6000))
            heard: set[str] = set()
            line = Line(
                broker.address("viewer"),
                "fleet",
                [f"{BASE}/node/+/state"],
                lambda topic, payload, retained: heard.add(topic),
                lambda: None,
            )
            listening = asyncio.create_task(line.run())
            await until(lambda: heard == states, limit=20, why="every slot has been heard of")
            await stopped(listening)

    run(test())
