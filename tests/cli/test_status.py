"""`terrible status`, `watch`, `events` and `log` as people and programs see them, beside a live cluster."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from terrible.mqtt.shapes import State
from tests.mqtt import brokers

from .live import BASE, Terminal, agent, ended, head, line, ran, terrible


async def said(port: int, topic: str, payload: str) -> None:
    """Somebody else leaves this at the broker."""
    async with brokers.observing(port) as other:
        await other.client.publish(topic, payload, 1, retain=True)


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_status_piped_is_a_line_for_each_slot(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with head(tmp_path, kind) as broker:
            told = await ran(broker.port, "status")
        assert (told.code, told.err) == (0, "")
        lines = told.out.splitlines()
        assert lines[0].startswith("demo on ")
        assert lines[0].endswith(": 2 of 2 up")
        assert [one.split()[:3] for one in lines[2:]] == [["node1", "1-1.1", "up"], ["node2", "1-1.2", "up"]]
        assert lines[2].endswith("10.42.0.11")

    brokers.run(story())


def test_status_for_programs_is_what_was_published(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            told = await ran(broker.port, "status", "--json")
        read = json.loads(told.out)
        assert (told.code, read["v"], read["cluster"], read["agent"]) == (0, 1, "demo", "online")
        assert list(read["slots"]) == [slot["name"] for slot in read["info"]["slots"]] == ["node1", "node2"]
        for state in read["slots"].values():
            found = TypeAdapter(State).validate_json(json.dumps(state))
            assert found.phase == "up"
            assert found.session == read["info"]["session"]

    brokers.run(story())


def test_without_an_agent_it_shows_what_was_said_last_and_where_to_look(tmp_path: Path) -> None:
    async def story() -> None:
        async with brokers.running(brokers.make("mosquitto", tmp_path)) as broker:
            async with agent(tmp_path, broker.port):
                async with terrible(broker.port, "watch") as watching:
                    await line(watching, "node2 up")
            told = await ran(broker.port, "status")
            as_json = await ran(broker.port, "status", "--json")
        assert told.code == as_json.code == 3
        assert "agent offline; this is what it said last" in told.out.splitlines()[0]
        assert "node1" in told.out
        for word in ("agent offline", "terrible check", "terrible hubs"):
            assert word in told.complaint
        assert json.loads(as_json.out)["agent"] == "offline"

    brokers.run(story())


def test_where_there_has_never_been_an_agent(tmp_path: Path) -> None:
    async def story() -> None:
        async with brokers.running(brokers.make("mosquitto", tmp_path)) as broker:
            none = await ran(broker.port, "status")
            named = await ran(broker.port, "status", "--cluster", "rack")
            watched = await ran(broker.port, "watch", "--cluster", "rack")
        assert none.code == named.code == watched.code == 3
        assert "no agent has ever been at the broker" in none.complaint
        assert "no agent of the cluster rack has ever been" in named.complaint
        assert "terrible check" in none.complaint
        assert "terrible/rack/#" in named.complaint

    brokers.run(story())


def test_of_several_clusters_one_must_be_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            await said(broker.port, "terrible/rack/status", "offline")
            unnamed = await ran(broker.port, "status")
            named = await ran(broker.port, "status", "-c", "demo")
        assert unnamed.code == 2
        assert "demo, rack (offline)" in unnamed.complaint
        assert "--cluster" in unnamed.complaint
        assert named.code == 0

    brokers.run(story())


def test_watch_on_a_terminal_of_80_columns(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            terminal = Terminal(broker.port, "watch")
            try:
                await terminal.until("2 of 2 up")
                off = await ran(broker.port, "power", "off", "node1", "--force")
                await brokers.until(lambda: "1 of 2 up" in terminal.raw, why="the table follows messages")
                assert await terminal.interrupted() == 0
            finally:
                terminal.close()
        assert off.code == 0
        assert max(map(len, terminal.lines)) <= 80
        rows = [one for one in terminal.lines if one.startswith("node1 ")]
        assert any("1-1.1" in row and " up " in row and "━━━" in row and "10.42.0.11" in row for row in rows)
        assert any(" off " in row for row in rows)
        assert "Traceback" not in terminal.raw

    brokers.run(story())


def test_watch_piped_is_a_line_for_each_change_and_outlives_broker_and_agent(tmp_path: Path) -> None:
    async def story() -> None:
        async with brokers.running(brokers.make("mosquitto", tmp_path)) as broker:
            async with agent(tmp_path, broker.port):
                async with brokers.observing(broker.port) as other:
                    await brokers.until(lambda: f"{BASE}/info" in other.held)
                async with terrible(broker.port, "watch") as watching:
                    await line(watching, "node2 up: 10.42.0.12")
                    await broker.kill()
                    await line(watching, "the broker at mqtt://127.0.0.1:")
                    await broker.start()
                    await line(watching, "agent of demo online")
                    cycled = await ran(broker.port, "power", "cycle", "node2", "--force")
                    seen = await line(watching, "node2 up")
                    watching.send_signal(signal.SIGINT)
                    rest = await ended(watching)
        assert cycled.code == 0
        phases = [one.split()[1].rstrip(":") for one in seen if one.startswith("node2 ")]
        assert phases == ["off", "waiting", "rom", "loading", "starting", "up"]
        assert (rest.code, rest.err) == (0, "")

    brokers.run(story())


def test_events_are_printed_as_they_come(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            async with terrible(broker.port, "events", "-f") as following:
                assert following.stderr is not None
                async with asyncio.timeout(20):
                    heard = await following.stderr.readline()
                assert heard.decode() == "agent of demo online\n"
                await ran(broker.port, "power", "cycle", "node1", "--force")
                (first, *_) = await line(following, time.strftime("%Y-"))
                following.send_signal(signal.SIGINT)
                rest = await ended(following)
        assert "  node1  " in first
        assert rest.code == 0

    brokers.run(story())


@pytest.mark.parametrize("asked", [("power", "off", "node1"), ("status",), ("log", "node1")], ids=" ".join)
def test_ctrl_c_before_there_is_an_answer_is_no_success(asked: tuple[str, ...]) -> None:
    """`terrible power off all && …` must not go on."""

    async def story() -> None:
        entered: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        frozen = await asyncio.start_server(lambda _, writer: entered.put_nowait(writer), "127.0.0.1", 0)
        async with frozen, terrible(frozen.sockets[0].getsockname()[1], *asked) as waiting:
            writer = await entered.get()
            waiting.send_signal(signal.SIGINT)
            told = await ended(waiting)
            writer.close()
            await writer.wait_closed()
        assert (told.code, told.out) == (130, "")
        assert told.complaint == "terrible: interrupted before all was told; ask again\n"

    brokers.run(story())


@pytest.mark.parametrize(
    "asked",
    [("status", "-c", "#"), ("status", "-c", "a/b"), ("power", "on", "all", "-c", "+"), ("log", "#"),
     ("log", "a\x1b[2J"), ("watch", "-c", "")],
)  # fmt: skip
def test_what_cannot_be_a_part_of_a_topic_is_a_usage_error(asked: tuple[str, ...]) -> None:
    async def story() -> None:
        told = await ran(1, *asked)
        assert told.code == 2
        assert "name" in told.complaint

    brokers.run(story())


def test_a_cluster_whose_name_rules_terminals_is_none(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            await said(broker.port, "terrible/ra\u202eck/status", "online")
            told = await ran(broker.port, "status")
        assert told.code == 0

    brokers.run(story())


def test_who_has_read_enough_ends_it_without_a_word(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            async with terrible(broker.port, "watch") as watching:
                await line(watching, "node2 up")
                reading = watching._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
                reading.close()
                await ran(broker.port, "power", "off", "node1", "--force")
                assert watching.stderr is not None
                async with asyncio.timeout(20):
                    assert await watching.stderr.read() == b""
                    await watching.wait()

    brokers.run(story())


def test_log_draws_the_last_attempt_within_80_columns(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            told = await ran(broker.port, "log", "node2", COLUMNS="80")
            unknown = await ran(broker.port, "log", "node9")
            plain = await ran(broker.port, "log", "node2", PYTHONIOENCODING="latin-1")
        assert (told.code, told.err) == (0, "")
        lines = told.out.splitlines()
        assert lines[0].startswith("node2: attempt 1 of ")
        assert max(map(len, lines)) <= 80
        for word in ("rom", "loader", "bootcode.bin", "start.elf", "not found", "█"):
            assert word in told.out
        assert (plain.code, plain.err) == (0, "")
        assert "?" in plain.out, "bars where there are no such characters"
        assert unknown.code == 2
        assert "there are node1, node2" in unknown.complaint

    brokers.run(story())


@asynccontextmanager
async def frozen(process: Any) -> AsyncIterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_completion_offers_the_slots_and_never_makes_one_wait(tmp_path: Path) -> None:
    async def offered(port: int, words: str, **more: str) -> tuple[str, float]:
        asked = {"_TERRIBLE_COMPLETE": "complete_bash", "COMP_WORDS": words}
        began = time.monotonic()
        told = await ran(port, **asked, COMP_CWORD=str(len(words.split()) - 1), **more)
        assert (told.code, told.err) == (0, "")
        return told.out, time.monotonic() - began

    async def story() -> None:
        broker = brokers.Mosquitto(tmp_path)
        async with brokers.running(broker), agent(tmp_path, broker.port):
            async with brokers.observing(broker.port) as other:
                await brokers.until(lambda: f"{BASE}/info" in other.held)
            assert (await offered(broker.port, "terrible boot no"))[0].split() == ["node1", "node2"]
            assert (await offered(broker.port, "terrible log node1,n"))[0].split() == ["node1,node2"]
            named = f"terrible power off --broker mqtt://127.0.0.1:{broker.port} -c demo no"
            assert (await offered(0, named))[0].split() == ["node1", "node2"]
            async with frozen(broker.process):
                nothing, seconds = await offered(broker.port, "terrible boot no")
                assert nothing.split() == []
                assert seconds < 3, "one for the answer, the rest for the start and end of the process"
        nothing, _ = await offered(broker.port, "terrible boot no")
        assert nothing.split() == []

    brokers.run(story())
