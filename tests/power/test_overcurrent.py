"""Ports that drew too much: what the kernel tells, and over which socket."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from terrible.model import Location
from terrible.power import overcurrent
from terrible.power.overcurrent import POLL, Overcurrents, reported

from .clock import run
from .currents import HERE, NULL, Ear, event, kernel_says, story, watching
from .tree import Tree

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
