"""What systemd is told, on a real datagram socket in its place."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from terrible.notify import feed_watchdog, notify
from tests import clock


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The other end of NOTIFY_SOCKET."""
    name = f"@terrible-{os.getpid()}-{secrets.token_hex(4)}"
    address = str(tmp_path / "notify") if request.param == "path" else name
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as channel:
        channel.bind("\0" + address[1:] if address.startswith("@") else address)
        channel.setblocking(False)
        yield channel


def told(channel: socket.socket) -> list[str]:
    """All datagrams that have come."""
    messages: list[str] = []
    with suppress(BlockingIOError):
        while True:
            messages.append(channel.recv(4096).decode())
    return messages


def test_each_word_is_one_datagram(systemd: socket.socket) -> None:
    notify("READY=1")
    notify("STATUS=4 of 4 up")
    assert told(systemd) == ["READY=1", "STATUS=4 of 4 up"]


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for nothing in (None, ""):
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        if nothing is not None:
            monkeypatch.setenv("NOTIFY_SOCKET", nothing)
        notify("READY=1")


def test_a_socket_that_nobody_reads_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


def feed(stuck: list[str], seconds: float) -> None:
    """Feed the watchdog for so long, in virtual time."""

    async def story() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await feed_watchdog(lambda: stuck)

    clock.run(story())


def test_the_watchdog_is_fed_twice_in_its_period(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    feed([], 100.0)
    assert told(systemd) == ["WATCHDOG=1"] * 7


def test_a_stuck_slot_is_named_and_the_watchdog_starves(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    feed(["node1", "node3"], 20.0)
    assert told(systemd) == ["STATUS=stuck: node1, node3"] * 2


def test_a_slot_that_recovers_is_no_longer_named(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    answers = iter([["node1"], [], []])

    async def story() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(40.0):
                await feed_watchdog(lambda: next(answers))

    clock.run(story())
    assert told(systemd) == ["STATUS=stuck: node1", "WATCHDOG=1\nSTATUS=", "WATCHDOG=1"]


def test_where_no_watchdog_is_set_none_is_fed(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed([], 100.0)
    monkeypatch.setenv("WATCHDOG_USEC", "0")
    feed([], 100.0)
    assert told(systemd) == []
