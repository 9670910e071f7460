"""Processes of another machine of the laboratory, known by their pid out here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class FailedError(AssertionError):
    """A command did not do what it was asked for."""


class Process:
    """A process inside, known by its pid outside."""

    def __init__(self, command: list[str]) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self._nsenter = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._said, stderr=subprocess.STDOUT
        )
        until(lambda: child(self._nsenter.pid) or self._nsenter.poll() is not None, why="nsenter forks")
        self.pid = child(self._nsenter.pid)
        if not self.pid:
            raise FailedError(f"{command[-1]} has ended at once: {self.said()}")

    def end(self, number: int = signal.SIGTERM, limit: float = 10) -> int:
        """Signal it and wait; its exit code."""
        if self._nsenter.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        return self.wait(limit)

    def wait(self, limit: float = 10) -> int:
        """Until it ends by itself; its exit code."""
        return self._nsenter.wait(limit)

    def said(self) -> str:
        """All that it has said so far; it writes on where it was."""
        return os.pread(self._said.fileno(), 1 << 20, 0).decode(errors="replace")

    def close(self) -> None:
        self._nsenter.wait(10)
        self._said.close()


def until(what: Callable[[], T], limit: float = 5.0, why: str = "") -> T:
    """Ask until the answer is true; return it."""
    deadline = time.monotonic() + limit
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit} s: {why}")
        time.sleep(0.005)
    return answer


def child(pid: int) -> int:
    """The first child of a process, 0 where there is none (yet)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def together(jobs: Iterable[Callable[[], T]], width: int = 4) -> list[T]:
    """Do so many of it at once; the answers in order."""
    with ThreadPoolExecutor(width) as pool:
        return [doing.result() for doing in [pool.submit(job) for job in jobs]]
