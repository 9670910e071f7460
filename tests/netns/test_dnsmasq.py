"""The DHCP and DNS server is back before anybody misses it, whatever has become of it or of its files."""

from __future__ import annotations

import os
import signal
import time

from terrible.net import addresses

from .lab import CLUSTER, address
from .node import Node
from .process import until
from .program import RUN, Program

BACK = 2.0
"""Seconds in which it has to be."""


def test_it_is_back_within_two_seconds(network: Program) -> None:
    for _ in range(2):
        (before,) = network.dnsmasqs()
        os.kill(before, signal.SIGKILL)
        began = time.monotonic()
        until(lambda: answers(network), limit=10, why="dnsmasq is back")
        assert time.monotonic() - began < BACK
        assert network.dnsmasqs() != [before]


def test_leases_outlive_it(network: Program) -> None:
    lab, (node, other, *_) = network.lab, network.lab.nodes
    lab.plug(node, 1)
    assert leased(node) == address(1)
    held = network.head.run("cat", f"{RUN}/leases")
    os.kill(network.dnsmasqs()[0], signal.SIGKILL)
    lab.plug(other, 2)
    assert leased(other) == address(2)
    assert f"{addresses.mac(CLUSTER, 1)} {address(1)} " in held
    assert address(1) in network.head.run("cat", f"{RUN}/leases")


def test_garbage_among_the_leases_hurts_nobody(network: Program) -> None:
    lab, node = network.lab, network.lab.nodes[0]
    lab.plug(node, 1)
    assert leased(node) == address(1)
    os.kill(network.dnsmasqs()[0], signal.SIGKILL)
    garbage = [lab.rng.randbytes(2000), b"0 " * 999, b"9999999999 02:00 10.42.0.12 node9 *", b""]
    network.head.file(f"{RUN}/leases").write_bytes(b"\n".join(garbage))
    assert leased(node) == address(1)


def test_a_stranger_gets_nothing(network: Program) -> None:
    lab, node = network.lab, network.lab.nodes[0]
    network.has_joined(1, lab.plug(node, 1, mac="02:00:00:00:00:99").name)
    assert node.dhcp(tries=2) is None


def test_a_slot_less_or_more_is_no_pause_for_the_others(network: Program) -> None:
    lab = network.lab
    three, four = lab.plug(lab.nodes[2], 3), lab.plug(lab.nodes[3], 4)
    network.has_joined(4, four.name)
    running = until(network.dnsmasqs, why="dnsmasq runs")
    network.reload({"ports": 3})
    until(lambda: lab.bridged() == {three.name}, why="what is no slot any more leaves")
    assert leased(lab.nodes[2]) == address(3)
    assert network.dnsmasqs() == running
    assert lab.nodes[2].resolve("node4") == ""
    network.reload({"ports": 4})
    assert leased(lab.nodes[3]) == address(4)


def test_a_stranger_gets_an_address_of_the_guests_if_there_are_any(network: Program) -> None:
    lab = network.lab
    network.reload(guests="10.42.0.200-10.42.0.220")
    lab.plug(lab.nodes[0], 1, mac="02:00:00:00:00:99")
    lab.plug(lab.nodes[1], 2)
    assert 200 <= int(leased(lab.nodes[0]).rpartition(".")[2]) <= 220
    assert leased(lab.nodes[1]) == address(2)


def test_nodes_are_told_of_the_mtu(network: Program) -> None:
    network.reload(mtu=1400)
    network.has_joined(1, network.lab.plug(network.lab.nodes[0], 1).name)
    lease = network.lab.nodes[0].dhcp()
    assert lease is not None
    assert lease.mtu == "1400"


def answers(network: Program) -> bool:
    asked = ["dig", "+time=1", "+tries=1", "+short", "@10.42.0.1", "node1.lab.internal"]
    return network.head.attempt(*asked)[1].strip() == address(1)


def leased(node: Node) -> str:
    lease = node.dhcp()
    return lease.address if lease else "no lease"
