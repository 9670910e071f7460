"""Asking a node to end: real commands, and what is said when they fail."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from terrible.model import BootError, Location, Slot
from terrible.net.shutdown import ShutdownCommand

NODE = Slot("node2", 2, Location("1-1.2"), "", "", address="10.42.0.12")


def test_the_command_is_told_which_node(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = ["sh", "-c", 'echo "$@" >"$0"', str(said), "{name}", "{number}", "{address}", "{location}"]
    asyncio.run(ShutdownCommand(command, {}).shut_down(NODE))
    assert said.read_text() == "node2 2 10.42.0.12 1-1.2\n"


def test_a_node_that_hangs_up_on_its_way_down_was_told() -> None:
    ssh = ["sh", "-c", "echo Connection to 10.42.0.12 closed by remote host. >&2; exit 255"]
    asyncio.run(ShutdownCommand(ssh, {}).shut_down(NODE))


def test_a_slot_may_have_a_command_of_its_own() -> None:
    commands = ShutdownCommand(["false"], {"node2": ["true"]})
    asyncio.run(commands.shut_down(NODE))
    with pytest.raises(BootError):
        asyncio.run(ShutdownCommand(["false"], {"node1": ["true"]}).shut_down(NODE))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["sh", "-c", "echo first >&2; printf 'no\\033[2J route\\n' >&2; exit 3"],
            r"ended with 3: no\?\[2J route",
        ),
        (["false"], "the shutdown command false ended with 1: without a word"),
        (["/nowhere/ssh"], "/nowhere/ssh cannot be run: No such file or directory"),
        ([], "node2 has no shutdown command"),
    ],
)
def test_what_went_wrong_is_one_line(command: list[str], said: str) -> None:
    with pytest.raises(BootError, match=said):
        asyncio.run(ShutdownCommand(command, {}).shut_down(NODE))


def test_nothing_is_left_of_a_command_that_takes_too_long(tmp_path: Path) -> None:
    async def story() -> None:
        command = [
            "sh",
            "-c",
            'sleep 600 & echo $! >"$0.new"; mv "$0.new" "$0"; wait',
            str(tmp_path / "child"),
        ]
        asking = asyncio.create_task(ShutdownCommand(command, {}).shut_down(NODE))
        while not (tmp_path / "child").exists():
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(story())
    child = int((tmp_path / "child").read_text())
    status = Path(f"/proc/{child}/status")
    deadline = time.monotonic() + 10
    while status.exists() and "State:\tZ" not in status.read_text():
        assert time.monotonic() < deadline, "it lives on"
