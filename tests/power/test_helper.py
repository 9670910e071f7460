"""`terrible-port` as a real process: what it does, what it refuses, and what cannot stop it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .process import GOOD, STUCK, Helper, answer, eventually, listening, stuck
from .tree import Tree


def test_writes_and_reads_a_configured_port(helper: Helper, tree: Tree) -> None:
    with helper.running():
        assert helper.disable("1-1.2", 1) == {"ok": True, "value": 1}
        assert tree.disable("1-1.2").read_text().strip() == "1"
        assert tree.disable("1-1.1").read_text().strip() == "0"
        assert helper.ask(op="read", location="1-1.2") == {"ok": True, "value": 1}
        assert helper.disable("1-1.2", 0) == {"ok": True, "value": 0}
        assert helper.disable("1-2", 1) == {"ok": True, "value": 1}
        assert tree.disable("1-2").read_text().strip() == "1"


@pytest.mark.parametrize(
    "location",
    [
        "1-1.4",
        "1-1",
        "2-1",
        "usb1",
        "1-0",
        "1-1.0",
        "1-1.2/../1-1.4",
        "../1-1.2",
        "1-1.2\n",
        "",
        "1-1.2\0",
        "¹-1",
    ],
)
def test_foreign_locations(helper: Helper, tree: Tree, location: str) -> None:
    with helper.running():
        refused = helper.disable(location, 1)
        assert refused["ok"] is False
        assert refused["error"].isprintable()
        assert helper.ask(op="read", location=location)["ok"] is False
    assert all(path.read_text() == "0\n" for path in tree.root.glob("devices/**/disable"))


@pytest.mark.parametrize("value", [2, -1, "1", True, 1.0, None, [1], 10**400])
def test_values_other_than_0_and_1(helper: Helper, tree: Tree, value: object) -> None:
    with helper.running():
        assert helper.disable("1-1.2", value)["ok"] is False
    assert tree.disable("1-1.2").read_text() == "0\n"


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
        b'{"v":1,"op":"disable","location":"\\ud800","value":1}',
        b'{"v":2,"op":"disable","location":"1-1.2","value":1}',
        b'{"v":1,"op":"exec","location":"1-1.2","value":1}',
        b'{"v":1,"op":"disable","location":["1-1.2"],"value":1}',
        GOOD[:-1] + b',"path":"/etc/passwd"}',
        GOOD + GOOD,
        GOOD + b"\n" + GOOD,
    ],
)
def test_bad_lines(helper: Helper, tree: Tree, line: bytes) -> None:
    with helper.running():
        assert helper.raw(line + b"\n")["ok"] is False
        assert tree.disable("1-1.2").read_text() == "0\n"
        assert helper.raw(GOOD + b"\n")["ok"] is True


def test_huge_lines(helper: Helper) -> None:
    with helper.running():
        for size in (4097, 100_000, 5_000_000):
            assert "at most 4096 bytes" in helper.raw(b" " * size + b"\n")["error"]


def test_half_lines(helper: Helper, tree: Tree) -> None:
    with helper.running():
        assert "before its newline" in helper.raw(GOOD, half_close=True)["error"]
        with helper.connect() as connection:
            connection.sendall(GOOD)  # and gone without a word
        assert "timed out" in helper.raw(GOOD)["error"]
        assert tree.disable("1-1.2").read_text() == "0\n"
        assert helper.raw(GOOD + b"\n")["ok"] is True


def test_fifty_connections_at_once(helper: Helper) -> None:
    with helper.running():
        connections = [helper.connect() for _ in range(50)]
        for number, connection in enumerate(reversed(connections)):
            line = {"v": 1, "op": "disable", "location": f"1-1.{number % 3 + 1}", "value": number % 2}
            connection.sendall(json.dumps(line).encode() + b"\n")
        for number, connection in enumerate(reversed(connections)):
            assert answer(connection) == {"ok": True, "value": number % 2}
            connection.close()


def test_a_stuck_write_is_abandoned_while_others_are_served(helper: Helper, tree: Tree) -> None:
    with helper.running(), stuck(tree.disable("1-1.1")):
        start = time.monotonic()
        waiting = [helper.connect() for _ in range(3)]
        for connection in waiting:
            connection.sendall(GOOD.replace(b"1-1.2", b"1-1.1") + b"\n")
        assert helper.disable("1-1.2", 1)["ok"] is True
        assert time.monotonic() - start < STUCK
        for connection in waiting:
            error = answer(connection)["error"]
            assert error == f"the kernel did not return from {tree.disable('1-1.1')}"
            assert connection.recv(1) == b""
            connection.close()
        assert STUCK <= time.monotonic() - start < STUCK + 5
    assert tree.disable("1-1.1").read_text() == "0\n"


def test_a_write_that_no_signal_ends(helper: Helper, tree: Tree) -> None:
    """One fork stays behind, the next for its port are killed at the lock, and it recovers by itself."""
    request = GOOD.replace(b"1-1.2", b"1-1.1") + b"\n"
    with helper.running():
        with stuck(tree.disable("1-1.1")):
            with helper.unkillable(), helper.connect() as connection:
                connection.sendall(request)
                assert "did not return" in answer(connection)["error"]
                assert connection.recv(1) == b""
            assert eventually(helper.processes, 2)
            with helper.connect() as connection:
                connection.sendall(request)
                assert eventually(helper.waiting, 1)
                assert "did not return" in answer(connection)["error"]
            assert helper.disable("1-1.3", 1)["ok"] is True
            assert eventually(helper.processes, 2)
        assert eventually(helper.processes, 1)
        assert helper.raw(request) == {"ok": True, "value": 1}


def test_no_fork_is_left_over(helper: Helper, tree: Tree) -> None:
    with helper.running() as process:
        with stuck(tree.disable("1-1.1")):
            helper.disable("1-1.1", 1)
        for _ in range(20):
            helper.disable("1-1.2", 1)
        assert eventually(helper.processes, 1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")  # with the dead ones
        assert eventually(children.read_text, "")
        assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) == 5  # three, the locks, the socket


def test_it_ends_when_the_agent_is_gone(helper: Helper, tree: Tree) -> None:
    with helper.running() as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 0
        process.stdin = None


@pytest.mark.skipif(not Path("/proc/self/syscall").exists(), reason="this kernel does not tell")
def test_idle_is_asleep_without_a_timeout(helper: Helper) -> None:
    with helper.running() as process:
        helper.disable("1-1.2", 1)
        call = Path(f"/proc/{process.pid}/syscall")
        assert eventually(lambda: call.read_text() != "running\n", True)
        number, *arguments = call.read_text().split()
        assert arguments[0] == hex(1 + listening(process.pid)), f"system call {number} is not select"
        assert arguments[4] == "0x0", "select has a timeout"


def test_without_any_socket(helper: Helper) -> None:
    command = [sys.executable, "-m", "terrible.power.helper", "--config", str(helper.config)]
    told = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert told.returncode == 2
    assert b"--socket is missing" in told.stderr
