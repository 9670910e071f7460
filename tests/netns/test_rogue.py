"""A node that is a DHCP server or a router harms nobody: its answers are dropped, counted, and said of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from .lab import Lab, address
from .node import Lease
from .process import Process, together, until
from .program import Program

LEASES = 20
ROGUE = 4
"""The slot that it sits in."""
CONFLICT = "DHCP server"


@pytest.fixture
def villain(populated: Program) -> Iterator[Process]:
    """All slots have nodes; that of the last has become a server of addresses and of routes."""
    node = populated.lab.nodes[ROGUE - 1]
    process = node.rogue()
    yield process
    process.end()
    node.ip("address", "flush", "dev", "usb0", "scope", "global")


def test_the_head_serves_beside_a_rogue(populated: Program, villain: Process) -> None:
    given = leases(populated, LEASES)
    assert [lease and lease.server for lease in given] == ["10.42.0.1"] * LEASES


def test_nobody_serves_where_the_head_does_not(populated: Program, villain: Process) -> None:
    dropped = counted(populated)
    (server,) = populated.dnsmasqs()
    os.kill(server, signal.SIGSTOP)
    try:
        given = leases(populated, LEASES, tries=1)
    finally:
        os.kill(server, signal.SIGCONT)
    assert given == [None] * LEASES
    assert counted(populated) - dropped >= LEASES


def test_nobody_serves_while_the_heads_server_dies_again_and_again(
    populated: Program, villain: Process
) -> None:
    for round_ in range(2):
        os.kill(until(populated.dnsmasqs, why="dnsmasq is back")[0], signal.SIGKILL)
        given = leases(populated, 3, tries=2)
        assert {lease.server for lease in given if lease} <= {"10.42.0.1"}, round_


def test_routes_of_a_rogue_reach_nobody(populated: Program, villain: Process) -> None:
    dropped, (node, *_) = counted(populated), populated.lab.nodes
    node.ip("link", "set", "usb0", "down")
    node.ip("link", "set", "usb0", "up")  # asks for routers
    until(lambda: counted(populated) > dropped, limit=10, why="a router's answer is dropped")
    assert "default" not in node.ip("-6", "route")
    assert "fd00:" not in node.ip("address")


def test_a_rogue_is_said_to_be_one(populated: Program, villain: Process) -> None:
    def told() -> bool:
        populated.ask(op="join", slot=ROGUE)  # looks at the counters, if that is due
        return "were dropped" in populated.conflicts().get(ROGUE, "")

    until(told, limit=30, why="the conflict is told")
    assert set(populated.conflicts()) == {ROGUE}


def test_a_rogue_that_joins_is_found_at_once_and_harms_nobody(network: Program) -> None:
    lab, (*others, bad) = network.lab, network.lab.nodes
    there = lab.plug(bad, ROGUE)
    bad.rogue()
    network.has_joined(ROGUE, there.name)
    until(lambda: CONFLICT in network.conflicts().get(ROGUE, ""), limit=3, why="the conflict is told")
    for slot, node in enumerate(others, start=1):
        lab.plug(node, slot)
    given = together(node.dhcp for node in others)
    assert [lease and lease.address for lease in given] == [address(slot) for slot in (1, 2, 3)]


def test_one_that_is_there_before_us_is_said(lab: Lab) -> None:
    """A bridge that a killed helper has left, with a rogue on it."""
    network = Program(lab)
    helper = network.serve()
    network.do("apply")
    network.has_joined(1, lab.plug(lab.nodes[0], 1).name)
    helper.end(signal.SIGKILL)
    lab.head.run("nft", "delete", "table", "bridge", "terrible")
    lab.nodes[0].rogue()
    network.serve()  # carries on
    until(lambda: CONFLICT in network.conflicts().get(1, ""), limit=10, why="the conflict is told")
    network.do("down")


def leases(network: Program, count: int, tries: int = 8) -> list[Lease | None]:
    """Asked for by the three good nodes, each with some clients at once."""
    asking = (network.lab.nodes[: ROGUE - 1] * count)[:count]
    return together((partial(node.dhcp, "udhcpc", tries) for node in asking), width=10)


def counted(network: Program) -> int:
    return network.dropped().get(network.lab.plugged[f"node{ROGUE}"].name, 0)
