"""Programs that disturb an agent are found in the real /proc, as real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from terrible import lock
from terrible.cli.health import programs
from terrible.cli.health.finding import Finding, Level


@pytest.fixture(autouse=True)
def lock_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RUN", tmp_path / "run")


@contextmanager
def running(*argv: str, executable: str | None = None) -> Iterator[int]:
    """A process with these arguments that says when it runs; its id."""
    with subprocess.Popen(
        argv, executable=executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"here\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"here\n"
        yield process.pid
        process.stdin.close()
        process.wait(timeout=30)


def about(pid: int) -> list[Finding]:
    """What is said of one process; this machine may have others that disturb."""
    words = {f"{pid}", f"{pid})", f"{pid},"}
    return [finding for finding in programs.findings() if words & {*finding.said.split()}]


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("rpiboot", Level.ERROR),
        ("uhubctl", Level.WARNING),
        ("ModemManager", Level.WARNING),
        ("NetworkManager", Level.NOTE),
    ],
)
def test_a_program_is_found_by_what_it_is_called(name: str, level: Level, tmp_path: Path) -> None:
    """Under its own path, and under another program's: `comm` and argv[0]."""
    cat = shutil.which("cat") or ""
    other = tmp_path / name
    shutil.copy(cat, other)
    with (
        running("/usr/sbin/renamed", executable=str(other)) as by_comm,
        running(name, executable=cat) as by_name,
    ):
        for pid in (by_comm, by_name):
            (found,) = about(pid)
            assert found.level is level
            assert found.said.startswith(f"{name} (process")
            assert bool(found.remedy) is (level is not Level.NOTE)
    assert about(by_comm) == about(by_name) == []


def test_uhubctl_in_a_loop_is_found_between_its_runs() -> None:
    with running("sh", "-c", "cat; false && while true; do uhubctl -a cycle; done") as pid:
        (found,) = about(pid)
    assert found.level is Level.WARNING
    assert found.said.startswith("uhubctl (process")


@pytest.mark.parametrize(
    "argv", [["cat"], ["sh", "-c", "cat; : rpiboot"], ["sh", "-c", "cat; : not-uhubctl"]]
)
def test_who_only_speaks_of_it_is_left_alone(argv: list[str]) -> None:
    with running(*argv) as pid:
        assert about(pid) == []


@pytest.mark.parametrize("command", ["run", "serve"])
def test_an_agent_with_a_lock_of_its_own_is_found(command: str) -> None:
    """Another user's: its lock is in a place that we do not look at."""
    with running("sh", "-c", "cat", "/opt/terrible/bin/terrible", command) as pid:
        (found,) = about(pid)
    assert (found.level, found.what) == (Level.ERROR, "agent")


def test_the_holder_of_the_lock_is_told_once() -> None:
    with lock.owner():
        (found,) = about(os.getpid())
    assert (found.level, found.what, found.remedy) == (Level.ERROR, "agent", "stop it first")


def test_a_lock_that_cannot_be_opened_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "run/lock").mkdir(parents=True)
    (found,) = (finding for finding in programs.findings() if finding.what == "agent")
    assert (found.level, found.said) == (Level.ERROR, f"{tmp_path}/run/lock: Is a directory")
    assert found.remedy == "run as root or as the user terrible"


def test_this_very_check_is_no_agent() -> None:
    assert about(os.getpid()) == []
