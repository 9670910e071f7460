"""Network namespaces for a test, without names, gone with everything in them when the test is over."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")
_NEWNET = 0x40000000
"""CLONE_NEWNET, linux/sched.h."""
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@contextlib.contextmanager
def namespace() -> Iterator[int]:
    """A new one, as the pid of the process that holds it; with `lo` up. Left out where it cannot be had.

    The process reads what the test never writes: it ends with the test's own, however that ends.
    """
    which("ip")
    if os.geteuid() != 0:
        missing("only root makes network namespaces")
    holder = ["unshare", "--net", "sh", "-c", "echo ready && exec cat"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        enter(process.pid, "ip", "link", "set", "lo", "up")
        yield process.pid


def wire(one: int, end: str, other: int, far_end: str) -> None:
    """A cable between two namespaces, both ends up; it goes with either of them."""
    enter(one, "ip", "link", "add", end, "type", "veth", "peer", "name", far_end, "netns", str(other))
    enter(one, "ip", "link", "set", end, "up")
    enter(other, "ip", "link", "set", far_end, "up")


def entering(where: int) -> list[str]:
    """The words before those of a program that runs in it and ends with this process at the latest."""
    return ["nsenter", f"--net=/proc/{where}/ns/net", "setpriv", "--pdeathsig", "KILL"]


def enter(where: int, tool: str, *argv: str, given: str = "") -> str:
    """Run a program in it to its end; what it printed."""
    command = [*entering(where), which(tool), *argv]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{tool} {' '.join(argv)}: {done.stderr}"
    return done.stdout


def within(where: int, what: Callable[[], T]) -> T:
    """Call it in a thread that has entered the namespace: a socket is of the namespace of its thread."""

    def entered() -> T:
        with Path(f"/proc/{where}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter the namespace of {where}")
        return what()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(entered).result()


def which(tool: str) -> str:
    """Where a program is; the test is left out where it is not."""
    return shutil.which(tool, path=_PATH) or missing(f"{tool} is not installed")


def missing(what: str) -> NoReturn:
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(what)
    pytest.skip(what)
