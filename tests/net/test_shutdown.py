"""Asking a node to end: real commands, and what is said when they fail."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from terrible.errors import BootError
from terrible.model import Location, Slot
from terrible.net.shutdown import ShutdownCommand

NODE = Slot("node2", 2, Location("1-1.2"), "", "", address="10.42.0.12")


def test_the_command_is_told_which_node(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = ["sh", "-c", 'echo "$@" >"$0"', str(said), "{slot}", "{number}", "{address}", "{location}"]
    asyncio.run(ShutdownCommand({"node2": command}, 10).shut_down(NODE))
    assert said.read_text() == "node2 2 10.42.0.12 1-1.2\n"


def test_a_node_that_hangs_up_on_its_way_down_was_told() -> None:
    ssh = ["sh", "-c", "echo Connection to 10.42.0.12 closed by remote host. >&2; exit 255"]
    asyncio.run(ShutdownCommand({"node2": ssh}, 10).shut_down(NODE))


def test_each_slot_has_its_own_command() -> None:
    commands = {"node1": ["false"], "node2": ["true"]}
    asyncio.run(ShutdownCommand(commands, 10).shut_down(NODE))
    with pytest.raises(BootError):
        asyncio.run(ShutdownCommand(commands, 10).shut_down(replace(NODE, name="node1")))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["sh", "-c", "echo first >&2; printf 'no\\033[2J route\\n' >&2; exit 3"],
            r"ended with exit code 3: no\\x1b\[2J route",
        ),
        (["false"], "the shutdown command false ended with exit code 1"),
        (["/nowhere/ssh"], "/nowhere/ssh cannot be run: No such file or directory"),
        ([], "node2 has no shutdown command"),
    ],
)
def test_what_went_wrong_is_one_line(command: list[str], said: str) -> None:
    with pytest.raises(BootError, match=said):
        asyncio.run(ShutdownCommand({"node2": command}, 10).shut_down(NODE))


def test_nothing_is_left_of_a_command_that_takes_too_long(tmp_path: Path) -> None:
    async def story() -> None:
        command = [
            "sh",
            "-c",
            'sleep 600 & echo $! >"$0.new"; mv "$0.new" "$0"; wait',
            str(tmp_path / "child"),
        ]
        asking = asyncio.create_task(ShutdownCommand({"node2": command}, 10).shut_down(NODE))
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
