"""The agent's side of the helper, against the real process and against servers that misbehave."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from terrible.errors import DiskError, HostError
from terrible.storage import client
from terrible.storage.client import DiskHelper, start_own
from terrible.storage.messages import Seen

from .conftest import Loop, needs_loop, number
from .head import SIZE
from .process import Helper

ANSWER = (
    b'{"ok":true,"value":{"slot":"node2","location":"1-1.2","disk":"sda","size":2147483648,"sector":512,'
    b'"vendor":"mmcblk0","model":"Raspberry Pi"}}\n'
)
SEEN = Seen("node2", "1-1.2", "sda", SIZE, 512, "mmcblk0", "Raspberry Pi")


@needs_loop
def test_a_card_is_looked_at_opened_and_closed(real_helper: Helper, loop: Loop) -> None:
    async def story() -> None:
        disks = DiskHelper(real_helper.socket)
        assert await disks.look("node2") == SEEN
        with await disks.open("node2") as card:
            assert card.seen == SEEN
            assert number(Path(f"/proc/self/fd/{card.fd}")) == loop.number
            assert os.get_inheritable(card.fd) is False
            with pytest.raises(DiskError, match="lock 5: somebody else has sda"):
                await disks.open("node2")
        card.close()  # once more
        (await disks.open("node2")).close()

    real_helper.head.pi()
    with real_helper.running():
        asyncio.run(story())


def test_refusals_are_disk_errors_in_the_helpers_words(helper: Helper) -> None:
    async def story() -> None:
        with pytest.raises(DiskError, match="lock 3: sda has been connected for 500 s"):
            await DiskHelper(helper.socket).look("node2")
        with pytest.raises(DiskError, match=r"there is no disk at 1-1\.1"):
            await DiskHelper(helper.socket).open("node1")

    helper.head.pi(connected=500_000)
    with helper.running():
        asyncio.run(story())


def test_no_helper(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="no answer from terrible-disk at"):
        asyncio.run(DiskHelper(tmp_path / "disk.sock").open("node2"))


@contextmanager
def answering(
    pieces: Sequence[bytes], descriptors: int, *, then_silent: bool = False
) -> Iterator[DiskHelper]:
    """A server that says `pieces`, with descriptors by the first, and then leaves or says nothing more."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/disk.sock")
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, open(os.devnull, "rb") as file:
                connection.recv(4096)
                rights = array.array("i", [file.fileno()] * descriptors)
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
                for piece in pieces:
                    connection.sendmsg([piece], ancillary)
                    ancillary = []
                if then_silent:
                    connection.recv(1)  # until the caller has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield DiskHelper(Path(directory, "disk.sock"))
        thread.join(10)


@contextmanager
def nothing_left_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


def test_an_answer_in_pieces() -> None:
    async def story(disks: DiskHelper) -> None:
        with await disks.open("node2") as card:
            assert card.seen == SEEN

    with nothing_left_open(), answering([ANSWER[:1], ANSWER[1:50], ANSWER[50:]], 1) as disks:
        asyncio.run(story(disks))


@pytest.mark.parametrize(
    ("pieces", "descriptors"),
    [
        ([], 0),
        ([b"{"], 1),
        ([b"[]\n"], 1),
        ([b'{"ok":true}\n'], 1),
        ([b'{"ok":true,"value":{}}\n'], 1),
        ([b'{"ok":false}\n'], 1),
        ([b'{"ok":false,"error":"lock 1"}\n'], 1),
        ([b"\xff\n"], 1),
        ([b"1" * 70_000], 1),
        ([ANSWER.replace(b"512", b"0")], 1),
        ([ANSWER.replace(b"512", b'"512"')], 1),
        ([ANSWER.replace(b'"sda"', b"null")], 1),
        ([ANSWER], 0),
        ([ANSWER], 2),
        ([ANSWER], 8),
    ],
)
def test_strange_answers_open_nothing(pieces: list[bytes], descriptors: int) -> None:
    with nothing_left_open(), answering(pieces, descriptors) as disks, pytest.raises(DiskError):
        asyncio.run(disks.open("node2"))


def test_a_helper_that_gives_up() -> None:
    """Its fork ends after 15 s, whatever the disk does."""
    with answering([], 0) as disks, pytest.raises(DiskError, match="ended without an answer"):
        asyncio.run(disks.open("node2"))


@pytest.mark.parametrize("descriptors", [0, 1])
def test_a_look_takes_no_descriptor(descriptors: int) -> None:
    with nothing_left_open(), answering([ANSWER], descriptors) as disks:
        assert asyncio.run(disks.look("node2")) == SEEN


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER", 0.1)
    with nothing_left_open(), answering([], 0, then_silent=True) as disks:
        with pytest.raises(DiskError, match="did not answer"):
            asyncio.run(disks.open("node2"))


def test_half_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor that came with the first byte is closed when the rest never comes."""
    monkeypatch.setattr(client, "ANSWER", 0.1)
    with nothing_left_open(), answering([ANSWER[:9]], 1, then_silent=True) as disks:
        with pytest.raises(DiskError, match="did not answer"):
            asyncio.run(disks.open("node2"))


def test_its_own_helper(helper: Helper) -> None:
    async def story() -> None:
        async with start_own(helper.config, helper.socket, helper.head.root) as disks:
            assert await disks.look("node2") == SEEN
        with pytest.raises(DiskError):
            await disks.look("node2")
        assert not helper.socket.exists()

    helper.head.pi()
    asyncio.run(story())


def test_a_helper_that_cannot_listen(helper: Helper) -> None:
    async def story() -> None:
        with pytest.raises(HostError, match="cannot listen on"):
            async with start_own(helper.config, Path("/proc/nowhere/disk.sock"), helper.head.root):
                pytest.fail("it listens")

    asyncio.run(story())
