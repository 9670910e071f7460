"""One virtual machine per test session; every test finds all ports powered and empty."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from tests.cluster import boot_directory
from tests.mqtt.brokers import Mosquitto

from . import image, namespace
from .hub import EmulatedHub
from .machine import Machine
from .packages import UnavailableError
from .remote import GuestError

T = TypeVar("T")
EMPTY = "! ls -d /sys/bus/usb/devices/1-1.*"
BOUND = (
    "( for i in /sys/bus/usb/devices/1-1.*:1.0; do"
    ' [ "$(cat $i/bInterfaceClass 2>/dev/null)" != e0 ] || [ -d $i/net ] || exit 1; done )'
)
"""No gadget is in the middle of being bound by rndis_host."""


@dataclass
class Rig:
    """The machine, its hub, and the loop they live on: tests hand their story to `run`."""

    runner: asyncio.Runner
    head: Machine
    hub: EmulatedHub

    def run(self, story: Coroutine[Any, Any, T], limit: float = 120) -> T:
        return self.runner.run(asyncio.wait_for(story, limit))


@pytest.fixture(scope="session")
def _booted() -> Iterator[Rig]:
    if reason := image.missing():
        _unable(reason)
    try:
        image.build()
    except UnavailableError as error:
        _unable(str(error))
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        head = runner.run(stack.enter_async_context(Machine()))
        try:
            yield Rig(runner, head, runner.run(stack.enter_async_context(EmulatedHub(head))))
        finally:
            runner.run(stack.aclose())


@pytest.fixture(scope="session")
def namespaces() -> None:
    """For tests whose nodes are namespaces of this machine."""
    if reason := namespace.missing():
        _unable(reason)


@pytest.fixture
def rig(_booted: Rig) -> Iterator[Rig]:
    yield _booted
    _booted.run(_tidy(_booted), limit=300)


@pytest.fixture
def files(rig: Rig, tmp_path: Path) -> dict[str, str]:
    """Boot files in the guest; their hashes by name."""
    base = boot_directory(tmp_path / "boot")

    async def copy() -> dict[str, str]:
        await rig.head.run(["rm", "-f", "/var/lib/terrible/state.json"])  # no wishes of another test
        hashes = {}
        for path in base.iterdir():
            await rig.head.put(f"/boot-files/{path.name}", path.read_bytes())
            hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return hashes

    return rig.run(copy())


@pytest.fixture
def broker(rig: Rig, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker on this machine's loopback, which the guest knows as 10.0.2.2."""
    mosquitto = Mosquitto(tmp_path)
    rig.run(mosquitto.start())
    yield mosquitto
    rig.run(mosquitto.kill())


async def _tidy(rig: Rig) -> None:
    with suppress(GuestError):
        await rig.head.until(BOUND, timeout=10)
    for port in list(rig.hub.pis):
        rig.hub.remove(port)
    for port, on in rig.head.powered.items():
        if not on:
            await rig.head.run(["uhubctl", "-l", "1-1", "-p", str(port), "-a", "on"])
    # QEMU completes no transfer to a device that has left (a real controller fails it in milliseconds): one
    # that leaves while rndis_host binds holds the hub's worker for ten control timeouts of 5 s.
    # And a port that was off by a class request may keep a dead device listed: that is removed by hand.
    try:
        await rig.head.until(EMPTY, timeout=15)
    except GuestError:
        await rig.head.run(["sh", "-c", "for d in /sys/bus/usb/devices/1-1.?; do echo 1 >$d/remove; done"])
        await rig.head.until(EMPTY, timeout=200)
    rig.hub.check()


def _unable(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"the rig is required: {reason}")
    pytest.skip(f"no rig here: {reason}")
