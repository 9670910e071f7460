"""Network namespaces for a test: names of their own, gone with everything in them when the test is over."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import uuid
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
def namespace() -> Iterator[str]:
    """A new one by its name, with `lo` up; the test is left out where that cannot be had."""
    ip = which("ip")
    if os.geteuid() != 0:
        missing("only root makes network namespaces")
    name = f"terrible-{uuid.uuid4().hex[:12]}"
    subprocess.run([ip, "netns", "add", name], check=True)
    try:
        enter(name, "ip", "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run([ip, "netns", "delete", name], check=True)


def wire(one: str, end: str, other: str, far_end: str) -> None:
    """A cable between two namespaces, both ends up; it goes with either of them."""
    enter(one, "ip", "link", "add", end, "type", "veth", "peer", "name", far_end, "netns", other)
    enter(one, "ip", "link", "set", end, "up")
    enter(other, "ip", "link", "set", far_end, "up")


def enter(name: str, tool: str, *argv: str, given: str = "") -> str:
    """Run a program in it to its end; what it printed."""
    command = [which("ip"), "netns", "exec", name, which(tool), *argv]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{tool} {' '.join(argv)}: {done.stderr}"
    return done.stdout


def within(name: str, what: Callable[[], T]) -> T:
    """Call it in a thread that has entered the namespace: a socket is of the namespace of its thread."""

    def entered() -> T:
        with Path(f"/run/netns/{name}").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {name}")
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
