"""`terrible power`, `boot`, `release` and `probe`: every way in which a request can end, as an exit code."""

from __future__ import annotations

import getpass
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from terrible.cli import demo
from terrible.sim.faults import Kind
from tests.mqtt import brokers

from .live import BASE, Terminal, agent, ended, head, line, ran, terrible

ACL = """
topic readwrite #
user viewer
topic read terrible/#
"""
"""Whoever enters without a name may do everything, as the agent does here."""


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_it_waits_until_all_is_done_and_shows_how_it_goes(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with head(tmp_path, kind) as broker:
            told = await ran(broker.port, "power", "cycle", "node[1-2]", "--force")
        assert (told.code, told.err) == (0, "")
        lines = told.out.splitlines()
        assert lines[-1] == "power cycle done: node1, node2"
        for name in ("node1", "node2"):
            assert [one for one in lines if one.startswith(f"{name} up: 10.42.0.1")]
            assert [one for one in lines if one.startswith(f"{name}: done")]

    brokers.run(story())


def test_on_a_terminal_the_slots_that_are_meant_are_a_table(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path, nodes=3) as broker:
            terminal = Terminal(broker.port, "power", "cycle", "node2", "--force")
            try:
                await terminal.until("power cycle done: node2")
                await brokers.until(lambda: terminal.process.poll() is not None)
            finally:
                terminal.close()
        assert terminal.process.returncode == 0
        assert any(row.startswith("node2 ") and " loading " in row for row in terminal.lines)
        assert not any(row.startswith("node1 ") for row in terminal.lines)
        assert max(map(len, terminal.lines)) <= 80

    brokers.run(story())


def test_an_image_is_written_to_cards_with_bars_that_tell_how_far_they_are(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            terminal = Terminal(broker.port, "flash", demo.IMAGE, "all")
            try:
                await terminal.until("flash done: node1, node2")
                await brokers.until(lambda: terminal.process.poll() is not None)
            finally:
                terminal.close()
            assert terminal.process.returncode == 0
            rows = [row for row in terminal.lines if " writing " in row or " verifying " in row]
            assert any(
                "/200 MB  " in row and "MB/s  " in row and row.endswith("left")
                for row in map(str.rstrip, rows)
            )
            assert max(map(len, terminal.lines)) <= 80
            nowhere = await ran(broker.port, "flash", "nowhere.img", "node1")
            assert (nowhere.code, "demo.img" in nowhere.complaint) == (2, True)
            path = await ran(broker.port, "flash", "/dev/sda", "node1")
            assert (path.code, "by its name alone" in path.complaint) == (2, True)

    brokers.run(story())


def test_other_verbs_do_what_they_say(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            async with brokers.observing(broker.port) as other:
                off = await ran(broker.port, "power", "off", "node1", "--force")
                assert b'"wish":"off"' in other.held[f"{BASE}/node/node1/state"]
                probed = await ran(broker.port, "probe", "node1")
                booted = await ran(broker.port, "boot", "node1,node2")
                assert other.held[f"{BASE}/node/node1/status"] == b"online"
                released = await ran(broker.port, "release", "all")
        assert [told.code for told in (off, probed, booted, released)] == [0, 0, 0, 0]
        assert off.out.splitlines()[-1] == "power off done: node1"
        assert "probe done: node1" in probed.out
        assert probed.out.splitlines()[-1].startswith("node1: ")
        assert booted.out.splitlines()[-1] == "boot done: node1, node2"

    brokers.run(story())


def test_no_wait_returns_when_the_agent_has_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path, nodes=1, fault=Kind.KERNEL_PANICS) as broker:
            told = await ran(broker.port, "power", "cycle", "node1", "--force", "--no-wait")
        assert (told.code, told.err) == (0, "")
        assert told.out.startswith("power cycle accepted: node1; ")

    brokers.run(story())


def test_what_failed_is_named_with_what_to_do_and_what_was_done_as_well(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path, fault=Kind.BOOTCODE_STALLS) as broker:
            told = await ran(broker.port, "power", "cycle", "all", "--force")
            shown = await ran(broker.port, "log", "node2")
        assert told.code == 1
        assert told.complaint == (
            "terrible: node2: the ROM stalled a transfer; terrible log node2 shows the attempt\n"
        )
        assert told.out.splitlines()[-1] == "power cycle done: node1"
        assert "diagnosis: the ROM stalled a transfer" in shown.out

    brokers.run(story())


def test_what_is_asked_wrong_is_2(tmp_path: Path) -> None:
    async def story() -> None:
        async with head(tmp_path) as broker:
            unknown = await ran(broker.port, "power", "off", "node7")
            garbled = await ran(broker.port, "power", "off", "node[")
            verb = await ran(broker.port, "power", "explode", "node1")
        assert [told.code for told in (unknown, garbled, verb)] == [2, 2, 2]
        assert unknown.complaint == (
            "terrible: power off: there is no slot node7; terrible status lists the slots\n"
        )
        assert "SLOTS:" in garbled.complaint
        assert "explode" in verb.err

    brokers.run(story())


def test_without_an_agent_nothing_is_sent_and_the_code_is_3(tmp_path: Path) -> None:
    async def story() -> None:
        async with brokers.running(brokers.make("mosquitto", tmp_path)) as broker:
            async with brokers.observing(broker.port) as other:
                await other.client.publish(f"{BASE}/status", "offline", 1, retain=True)
                told = await ran(broker.port, "power", "off", "all")
                assert other.on(f"{BASE}/request/power") == []
        assert told.code == 3
        assert "agent offline" in told.complaint
        assert "terrible check" in told.complaint

    brokers.run(story())


def test_without_a_broker_the_code_is_4_and_it_says_who_named_it() -> None:
    async def story() -> None:
        port = brokers.free_port()
        for words in (["status"], ["watch"], ["events"], ["log", "node1"], ["boot", "all"]):
            told = await ran(port, *words)
            assert told.code == 4, words
            assert f"mqtt://127.0.0.1:{port}" in told.complaint
            assert "TERRIBLE_BROKER says so" in told.complaint

    brokers.run(story())


@asynccontextmanager
async def _endless(base: Path) -> AsyncIterator[tuple[brokers.Broker, Process]]:
    """A power cycle that is waited for and has far to go: the node's kernel panics each time."""
    async with head(base, nodes=1, fault=Kind.KERNEL_PANICS) as broker:
        async with terrible(broker.port, "power", "cycle", "node1", "--force") as waiting:
            await line(waiting, "node1 starting")
            yield broker, waiting


def test_ctrl_c_says_that_the_request_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with _endless(tmp_path) as (_, waiting):
            waiting.send_signal(signal.SIGINT)
            told = await ended(waiting)
        assert told.code == 130
        assert told.complaint == "terrible: power cycle goes on without you; terrible watch shows it\n"

    brokers.run(story())


def test_a_broker_that_goes_in_mid_wait_is_4_and_stops_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with _endless(tmp_path) as (broker, waiting):
            await broker.kill()
            told = await ended(waiting)
        assert told.code == 4
        assert "has gone" in told.complaint
        assert "power cycle goes on meanwhile" in told.complaint

    brokers.run(story())


def test_an_agent_that_goes_in_mid_wait_is_3(tmp_path: Path) -> None:
    async def story() -> None:
        async with _endless(tmp_path) as (broker, waiting):
            async with brokers.observing(broker.port) as other:
                await other.client.publish(f"{BASE}/status", "offline", 1, retain=True)
                told = await ended(waiting)
        assert told.code == 3
        assert "the agent has gone while power cycle was under way" in told.complaint

    brokers.run(story())


def test_a_broker_that_lets_nobody_write_says_so(tmp_path: Path) -> None:
    """MQTT 5 tells; the agent and the viewer enter as the users that they are."""

    async def story() -> None:
        broker = brokers.Mosquitto(tmp_path)
        (tmp_path / "acl").write_text(ACL)
        with (tmp_path / "mosquitto.conf").open("a") as config:
            config.write(f"user {getpass.getuser()}\nacl_file {tmp_path / 'acl'}\n")
        async with brokers.running(broker), agent(tmp_path, broker.port, 1):
            viewer = f"mqtt://viewer@127.0.0.1:{broker.port}"
            async with brokers.observing(broker.port) as other:
                await brokers.until(lambda: f"{BASE}/info" in other.held)
            told = await ran(0, "power", "off", "all", TERRIBLE_BROKER=viewer)
            seen = await ran(0, "status", TERRIBLE_BROKER=viewer)
        assert told.code == 1
        assert f"does not let this user write to {BASE}/request/power" in told.complaint
        assert seen.code == 0

    brokers.run(story())


def test_an_agent_that_never_answers_is_1_with_a_guess_why(tmp_path: Path) -> None:
    """As where a broker of MQTT 3.1.1 drops what one may not write: here nobody listens at all."""

    async def story() -> None:
        async with brokers.running(brokers.make("amqtt", tmp_path)) as broker:
            async with brokers.observing(broker.port) as other:
                await other.client.publish(f"{BASE}/status", "online", 1, retain=True)
                told = await ran(broker.port, "boot", "all")
        assert told.code == 1
        assert "online but has not answered in 5 s: may this user write to" in told.complaint

    brokers.run(story())
