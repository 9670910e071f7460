"""Whatever a node sends over USB: only our own errors come out, and no log line moves a cursor."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from terrible.attempt import Attempt
from terrible.errors import BootError, DeviceLeft
from terrible.limits import Limits
from terrible.model import Event, Location, Progress, Report, Slot
from terrible.standing import Standing
from terrible.usb import loader
from terrible.usb.bootfiles import BootFiles
from terrible.usb.layers import Roots
from tests.chaos.fuzz import COUNTS, fuzz, property_of
from tests.clock import VirtualLoop
from tests.usb import test_rpiboot


def test_the_shares_make_a_million() -> None:
    assert sum(COUNTS.values()) == 10**6


# -- LOADER requests ----------------------------------------------------------------------------------

NAMES = st.binary(max_size=256) | st.sampled_from(
    [b"config.txt", b"cmdline.txt", b"../../etc/shadow", b"*MAC*1", b"*\x1b*x", b"overlays/", b"\x1b[2J", b""]
)
REQUESTS = st.builds(
    lambda command, name: struct.pack("<i256s", command, name),
    st.sampled_from([-1, 0, 0, 1, 1, 2, 77]),
    NAMES,
) | st.binary(max_size=300)


@fuzz("request", st.binary(max_size=300) | st.binary(min_size=260, max_size=260))
def test_any_request(data: bytes) -> None:
    property_of(test_rpiboot.test_any_bytes_are_a_request_or_a_complaint_that_is_safe_to_log)(data)


@dataclass
class Node:
    """A node that asks these things, one after the other, and leaves."""

    asks: Sequence[bytes]
    received: int = 0

    def __post_init__(self) -> None:
        self._asks: Iterator[bytes] = iter(self.asks)

    async def control_out(self, value: int, index: int, limit: float) -> None:
        assert 0 <= value <= 0xFFFF
        assert 0 <= index <= 0xFFFF

    async def control_in(self, length: int, limit: float) -> bytes:
        if (data := next(self._asks, None)) is None:
            raise DeviceLeft("it left")
        return data[:length]

    async def bulk_out(self, data: bytes | bytearray, stall: float, sent: Callable[[int], None]) -> None:
        self.received += len(data)
        sent(len(data))


SLOT = Slot("node1", 1, Location("1-1.1"), "02:00:00:00:00:01", "02:00:00:00:00:02")


@dataclass
class Head:
    """What serves a node: real files, a real record; what is told and logged is kept."""

    base: Path
    told: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.base / "config.txt").write_text("arm_64bit=0\n")
        (self.base / "cmdline.txt.template").write_text("host=${name}\n")
        self._files = BootFiles(Roots(self.base), [SLOT])
        self.loop = VirtualLoop()

    def serve(self, asks: Sequence[bytes]) -> Attempt:
        return self.loop.run_until_complete(self._serve(asks))

    async def _serve(self, asks: Sequence[bytes]) -> Attempt:
        standing = Standing(SLOT, True, self.told.append)
        attempt = Attempt(SLOT, 1, standing, lambda _: None)
        try:
            await loader.serve_files(
                Node(asks), lambda name: self._files.find(SLOT, "2710", name), Limits(), attempt
            )
        except BootError as error:
            assert error.problem.message.isprintable()
        attempt.closed("over")
        return attempt


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    head = Head(tmp_path)
    asyncio.set_event_loop(head.loop)
    yield head
    asyncio.set_event_loop(None)
    head.loop.close()


def test_any_session_ends_with_our_own_errors_and_logs_nothing_that_moves_a_cursor(
    head: Head, caplog: pytest.LogCaptureFixture
) -> None:
    @fuzz("session", st.lists(REQUESTS, max_size=10))
    def any_session(asks: list[bytes]) -> None:
        caplog.clear()
        head.told.clear()
        head.serve(asks)
        assert all(record.getMessage().isprintable() for record in caplog.records)
        assert all(isinstance(news, Report | Progress | Event) for news in head.told)

    any_session()


# -- memory -------------------------------------------------------------------------------------------


def test_a_node_that_never_stops_asking_is_no_burden(head: Head) -> None:
    """The record of an attempt is kept in memory and published whole: nobody may make it grow for ever."""
    attempt = head.serve([struct.pack("<i256s", 0, b"file%d" % n) for n in range(20_000)])
    assert len(attempt.transcript.files) <= 5_000
    attempt = head.serve([struct.pack("<i256s", 0, b"*KEY%d*%s" % (n, b"x" * 200)) for n in range(20_000)])
    assert len(attempt.transcript.metadata) <= 5_000
