"""Ports that drew too much: what the kernel counts and tells, and what a port's status shows."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from terrible.model import BootError, Location
from terrible.power import overcurrent
from terrible.power.alarms import HardwareAlarms
from terrible.power.overcurrent import POLL, Overcurrents, reported
from terrible.power.topology import Topology

from .clock import run
from .fakehub import FakeHub
from .tree import Tree

HERE, THERE = Location("1-1.2"), Location("1-1.3")
OVER = 0x0108
NULL = Path("/sys/devices/virtual/mem/null/uevent")


def event(port: str = "1-1:1.0/1-1-port2", count: str = "1", action: str = "change") -> bytes:
    path = "/devices/pci0000:00/0000:00:01.0/usb1/1-1/1-1:1.0"
    told = [
        f"{action}@{path}",
        f"ACTION={action}",
        f"DEVPATH={path}",
        "SUBSYSTEM=usb",
        f"OVER_CURRENT_PORT=/devices/pci0000:00/0000:00:01.0/usb1/1-1/{port}",
        f"OVER_CURRENT_COUNT={count}",
        "SEQNUM=4711",
    ]
    return "\0".join(told).encode() + b"\0"


class Ear:
    """The alarms so far, at which second each came."""

    def __init__(self) -> None:
        self.heard: list[tuple[Location, float]] = []

    @property
    def where(self) -> list[Location]:
        return [location for location, _ in self.heard]

    async def listen(self, alarms: AsyncIterator[Location]) -> None:
        async for location in alarms:
            self.heard.append((location, asyncio.get_running_loop().time()))


@asynccontextmanager
async def watching(tree: Tree, hub: FakeHub | None = None) -> AsyncIterator[tuple[Overcurrents, Ear]]:
    """A watch over two slots, its first look taken."""
    watch = Overcurrents(Topology(tree.root), hub or FakeHub(), [HERE, THERE])
    ear = Ear()
    listening = asyncio.create_task(ear.listen(watch.watch()))
    await asyncio.sleep(1)
    try:
        yield watch, ear
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


def story(
    tree: Tree, telling: Callable[[Overcurrents, Ear], Awaitable[None]], hub: FakeHub | None = None
) -> None:
    async def whole() -> None:
        async with watching(tree, hub) as (watch, ear):
            await telling(watch, ear)

    run(whole())


def kernel_says(watch: Overcurrents, *messages: bytes, sender: int = 0) -> None:
    """What the socket would hand over; only the kernel itself can send with 0."""

    class Socket(socket.socket):
        def recvfrom(self, *_: object) -> tuple[bytes, tuple[int, int]]:
            if not waiting:
                raise BlockingIOError
            return waiting.pop(0), (sender, 1)

    waiting = list(messages)
    with Socket() as kernel:
        watch._hear(kernel)


# -- what the kernel says -----------------------------------------------------------------------------


def test_an_event_of_the_kernel() -> None:
    assert reported(event(count="3")) == ("1-1.2", 3)
    assert reported(event("1-0:1.0/usb1-port1")) == ("1-1", 1)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff\xfe\0\0",
        b"libudev\0\xfe\xed\xca\xfe",
        b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=usb\0SEQNUM=1\0",
        event(action="add"),
        event(count=""),
        event(count="-1"),
        event(count="²"),
        event("1-1:1.0/1-1-port"),
        event("1-1:1.0/1-1-port0"),
        event("1-1:1.0/../../etc-port1"),
    ],
)
def test_other_messages(message: bytes) -> None:
    assert reported(message) is None


def test_an_event_is_an_alarm_at_once(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).write_text("1\n")
        kernel_says(watch, event())
        await asyncio.sleep(3 * POLL)
        assert ear.heard == [(HERE, 1.0)], "told once, not again by the next look"
        kernel_says(watch, event(count="2"), event(count="2"))
        await asyncio.sleep(0.1)
        assert ear.where == [HERE, HERE]

    story(tree, telling)


def test_nobody_else_is_believed(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        kernel_says(watch, event(), sender=os.getpid())
        await asyncio.sleep(0.1)
        assert ear.heard == []

    story(tree, telling)


def test_other_ports_are_nobodys_business(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        kernel_says(watch, event("1-1:1.0/1-1-port4"))
        await asyncio.sleep(0.1)
        assert ear.heard == []

    story(tree, telling)


# -- what it counts -----------------------------------------------------------------------------------


def test_a_missed_event_is_found_by_the_next_look(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(THERE).write_text("1\n")
        await asyncio.sleep(POLL)
        assert ear.heard == [(THERE, POLL)]

    story(tree, telling)


def test_a_count_that_rises_by_many_is_one_alarm(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).write_text("250\n")
        await asyncio.sleep(3 * POLL)
        assert ear.where == [HERE]

    story(tree, telling)


def test_what_happened_before_the_start_is_history(tree: Tree) -> None:
    tree.overcurrents(HERE).write_text("7\n")

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        await asyncio.sleep(2 * POLL)
        assert ear.heard == []
        tree.overcurrents(HERE).write_text("8\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE]

    story(tree, telling)


@pytest.mark.parametrize(("after", "alarms"), [("0", 0), ("1", 1), ("7", 1)])
def test_a_hub_that_comes_back_counts_from_0(tree: Tree, after: str, alarms: int) -> None:
    tree.overcurrents(HERE).write_text("7\n")

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).unlink()
        tree.root.joinpath("bus/usb/devices/1-1/maxchild").write_text("0\n")
        await asyncio.sleep(POLL)
        tree.overcurrents(HERE).write_text(f"{after}\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE] * alarms

    story(tree, telling)


@pytest.mark.parametrize("after", ["0", "1"])
def test_a_hub_that_was_replaced_between_two_looks(tree: Tree, after: str) -> None:
    """Its count fell, so what it shows is its own."""
    tree.overcurrents(HERE).write_text("7\n")

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).write_text(f"{after}\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE] * int(after)
        tree.overcurrents(HERE).write_text("7\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE] * (int(after) + 1)

    story(tree, telling)


def test_the_usb_3_side_of_a_socket_is_the_slots_too(tree: Tree) -> None:
    tree.peers("1-2", "2-2")
    alarms = HardwareAlarms(FakeHub(), [Location("1-2")], tree.root)

    async def telling() -> None:
        ear = Ear()
        listening = asyncio.create_task(ear.listen(alarms.overcurrents()))
        await asyncio.sleep(1)
        tree.overcurrents("2-2").write_text("1\n")
        await asyncio.sleep(POLL)
        listening.cancel()
        assert ear.where == [Location("1-2")]

    run(telling())


# -- what a port shows where the kernel does not count -------------------------------------------------


def test_an_old_kernel_is_asked_for_the_status(tree: Tree) -> None:
    tree.overcurrents(HERE).unlink()
    hub = FakeHub()

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        for _ in range(2):
            hub.status[2] = OVER
            await asyncio.sleep(3 * POLL)
            hub.status[2] = 0x0100
            await asyncio.sleep(POLL)
        assert ear.heard == [(HERE, POLL), (HERE, 5 * POLL)], "each time it did, not for as long as it did"

    story(tree, telling, hub)


def test_a_port_that_draws_too_much_at_the_start(tree: Tree) -> None:
    tree.overcurrents(HERE).unlink()

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        assert ear.heard == [(HERE, 0.0)]

    story(tree, telling, FakeHub(status={2: OVER}))


def test_a_hub_that_does_not_answer_is_asked_again(tree: Tree) -> None:
    tree.overcurrents(HERE).unlink()
    hub = FakeHub(error=BootError("pipe"))

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        await asyncio.sleep(2 * POLL)
        hub.error, hub.status[2] = None, OVER
        await asyncio.sleep(POLL)
        assert ear.where == [HERE]

    story(tree, telling, hub)


def test_ports_that_are_counted_are_not_asked(tree: Tree) -> None:
    async def telling(watch: Overcurrents, ear: Ear) -> None:
        await asyncio.sleep(2 * POLL)
        assert ear.heard == []

    story(tree, telling, FakeHub(error=AssertionError("asked")))


# -- the socket ---------------------------------------------------------------------------------------


def test_a_sandbox_without_netlink_still_counts(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overcurrent, "_NETLINK_KOBJECT_UEVENT", 31)  # no kernel has that protocol

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        tree.overcurrents(HERE).write_text("1\n")
        await asyncio.sleep(POLL)
        assert ear.where == [HERE]

    story(tree, telling)


def test_a_forged_event_over_the_real_socket(tree: Tree) -> None:
    """Root may send to our socket; it is not the kernel for that."""

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        ours = _port_of_ours()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as forger:
            forger.bind((0, 0))
            forger.sendto(event(), (ours, 0))
        await asyncio.sleep(1)
        assert ear.heard == []

    story(tree, telling)


@pytest.mark.skipif(not os.access(NULL, os.W_OK), reason="only root can have the kernel send an event")
def test_the_real_kernel_is_heard(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends no over-current without a short; so any event of /dev/null is taken for one here."""
    messages: list[bytes] = []

    def heard(message: bytes) -> tuple[Location, int] | None:
        messages.append(message)
        return (HERE, len(messages)) if b"/devices/virtual/mem/null\0" in message else None

    monkeypatch.setattr(overcurrent, "reported", heard)

    async def telling(watch: Overcurrents, ear: Ear) -> None:
        NULL.write_text("change\n")
        await asyncio.sleep(1)
        assert ear.where == [HERE]

    story(tree, telling)
    (message,) = [message for message in messages if b"mem/null" in message]
    assert message.startswith(b"change@/devices/virtual/mem/null\0")
    assert reported(message) is None


def test_the_socket_is_given_back(tree: Tree) -> None:
    before = len(os.listdir("/proc/self/fd"))

    async def telling() -> int:
        async with watching(tree):
            open_now = len(os.listdir("/proc/self/fd"))
        return open_now - len(os.listdir("/proc/self/fd"))

    assert run(telling()) == 1
    assert len(os.listdir("/proc/self/fd")) == before


def _port_of_ours() -> int:
    """The netlink address of the one socket of this process that hears the kernel's events."""
    inodes = {
        os.readlink(link).strip("socket:[]") for link in Path("/proc/self/fd").iterdir() if link.is_symlink()
    }
    for line in Path("/proc/net/netlink").read_text().splitlines()[1:]:
        _, protocol, port, groups, *_, inode = line.split()
        if protocol == "15" and int(groups, 16) == 1 and inode in inodes:
            return int(port)
    raise AssertionError("nobody listens")
