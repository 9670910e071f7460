"""`terrible-disk` as a real process: the descriptor it hands over, whom it answers, and what it refuses."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
from pathlib import Path

import pytest

from .conftest import Loop, needs_loop, number
from .head import SIZE
from .process import GOOD, LOOK, Helper, refused, told

CARD = {
    "slot": "node2",
    "location": "1-1.2",
    "disk": "sda",
    "size": SIZE,
    "sector": 512,
    "vendor": "mmcblk0",
    "model": "Raspberry Pi",
}


# -- the card ---------------------------------------------------------------------------------------


def test_a_look_says_what_is_there(helper: Helper) -> None:
    helper.head.pi()
    with helper.running(), helper.ask("look", "node2") as answer:
        assert (answer.answer, answer.descriptors) == ({"ok": True, "value": CARD}, [])


@needs_loop
def test_the_descriptor_of_the_card_is_handed_over(real_helper: Helper, loop: Loop) -> None:
    real_helper.head.pi()
    with real_helper.running(), real_helper.ask("open", "node2") as answer:
        assert answer.answer == {"ok": True, "value": CARD}
        (descriptor,) = answer.descriptors
        assert number(Path(f"/proc/self/fd/{descriptor}")) == loop.number
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        assert flags & os.O_ACCMODE == os.O_RDWR
        assert flags & os.O_DIRECT
        with mmap.mmap(-1, 512) as block:  # aligned, as O_DIRECT wants it
            block[:8] = b"terrible"
            assert os.pwrite(descriptor, block, 0) == 512
    with loop.file.open("rb") as file:
        assert file.read(8) == b"terrible"


@needs_loop
def test_the_caller_alone_has_the_card_and_for_as_long_as_it_likes(real_helper: Helper, loop: Loop) -> None:
    """The helper keeps no copy: closed by the caller, and that even when the helper has ended, it is free."""
    real_helper.head.pi()
    with real_helper.running():
        answer = real_helper.ask("open", "node2")
        assert "lock 5: somebody else has sda" in real_helper.refusal("open", "node2")
    with answer:
        with pytest.raises(OSError, match="busy"):
            os.open(loop.node, os.O_RDWR | os.O_EXCL)
    os.close(os.open(loop.node, os.O_RDWR | os.O_EXCL))


@needs_loop
def test_a_card_that_was_given_back_is_free_at_once(real_helper: Helper, loop: Loop) -> None:
    """Not only when the fork that has opened it gets round to ending."""
    real_helper.head.pi()
    with real_helper.running():
        for _ in range(40):
            real_helper.ask("open", "node2").__exit__()
            os.close(os.open(loop.node, os.O_RDWR | os.O_EXCL))


@needs_loop
def test_a_caller_that_has_gone_holds_nothing(real_helper: Helper) -> None:
    real_helper.head.pi()
    with real_helper.running():
        with real_helper.connect() as connection:
            connection.sendall(GOOD + b"\n")
            answered = select.poll()
            answered.register(connection, select.POLLRDHUP)
            assert answered.poll(10_000)  # all has been sent, and nothing is taken
        with real_helper.ask("open", "node2") as answer:
            assert answer.answer["ok"] is True


# -- slots ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slot",
    ["node4", "", "node02", "NODE2", "1-1.2", "/dev/sda", "sda", "../node2", "node2\n", "node2\0", "all"],
)
def test_slots_that_are_none(helper: Helper, slot: str) -> None:
    helper.head.pi()
    with helper.running():
        for op in ("open", "look"):
            error = helper.refusal(op, slot)
            assert "is not the name of a slot" in error
            assert error.isprintable()


def test_a_slot_without_a_disk(helper: Helper) -> None:
    helper.head.pi()
    with helper.running():
        assert helper.refusal("open", "node1") == "there is no disk at 1-1.1"


def test_slots_are_read_afresh_and_by_name(helper: Helper) -> None:
    helper.head.pi()
    with helper.running():
        assert refused(helper.raw(LOOK.replace(b"node2", b"gate") + b"\n"))
        helper.config.write_text('[[slots]]\nname = "gate"\nlocation = "1-1.2"\n')
        assert helper.ask("look", "gate").answer["ok"] is True
        assert "is not the name of a slot" in helper.refusal("look", "node2")
        helper.config.write_text("hub = ")
        assert "terrible.toml" in helper.refusal("look", "gate")
        helper.config.unlink()
        assert "terrible.toml" in helper.refusal("look", "gate")


def test_an_unnamed_slot_is_nobody_s(helper: Helper) -> None:
    helper.config.write_text('[[slots]]\nlocation = "1-1.2"\n')
    helper.head.pi()
    with helper.running():
        assert "is not the name of a slot" in helper.refusal("look", "")


def test_a_name_that_two_slots_have(helper: Helper) -> None:
    helper.config.write_text('hub = "1-1"\nports = 2\n[[slots]]\nname = "node2"\nlocation = "1-1.3"\n')
    helper.head.pi()
    with helper.running():
        assert "two slots have the name node2" in helper.refusal("look", "node2")


# -- requests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        GOOD.decode().encode("utf-16"),
        b"[" * 4000,
        b'{"v":' + b"9" * 3900 + b"}",
        b'{"v":1,"op":"open","slot":"\\ud800"}',
        b'{"v":2,"op":"open","slot":"node2"}',
        b'{"v":1,"op":"exec","slot":"node2"}',
        b'{"v":1,"op":"open","slot":["node2"]}',
        b'{"v":1,"op":"open","slot":2}',
        b'{"v":1,"op":"open"}',
        GOOD[:-1] + b',"path":"/dev/sda"}',
        GOOD[:-1] + b',"force":true}',
        GOOD + GOOD,
        GOOD + b"\n" + GOOD,
    ],
)
def test_bad_lines(helper: Helper, line: bytes) -> None:
    helper.head.pi()
    with helper.running():
        assert refused(helper.raw(line + b"\n"))
        assert helper.raw(LOOK + b"\n").answer["ok"] is True


def test_huge_lines(helper: Helper) -> None:
    with helper.running():
        for size in (4097, 100_000, 5_000_000):
            assert "at most 4096 bytes" in refused(helper.raw(b" " * size + b"\n"))


def test_half_lines(helper: Helper) -> None:
    with helper.running():
        assert "before its newline" in refused(helper.raw(GOOD, half_close=True))
        with helper.connect() as connection:
            connection.sendall(GOOD)  # and gone without a word
        assert "timed out" in refused(helper.raw(GOOD))


def test_fifty_connections_at_once(helper: Helper) -> None:
    helper.head.pi()
    with helper.running():
        connections = [helper.connect() for _ in range(50)]
        for number_, connection in enumerate(reversed(connections)):
            line = {"v": 1, "op": "look", "slot": f"node{number_ % 3 + 1}"}
            connection.sendall(json.dumps(line).encode() + b"\n")
        for number_, connection in enumerate(reversed(connections)):
            assert told(connection).answer["ok"] is (number_ % 3 == 1)
            connection.close()


def test_a_sysfs_that_says_strange_things(helper: Helper) -> None:
    helper.head.pi()
    (helper.head.sys / "block/sda/size").write_text("many\n")
    with helper.running():
        assert "cannot be understood" in helper.refusal("look", "node2")


@pytest.mark.parametrize("missing", ["proc/swaps", "proc/self/mountinfo", "sys/class/block"])
def test_what_cannot_be_read_is_not_nothing(helper: Helper, missing: str) -> None:
    helper.head.pi()
    path = helper.head.root / missing
    path.rename(path.with_name("elsewhere"))
    with helper.running():
        assert missing in helper.refusal("look", "node2")
