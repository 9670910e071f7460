"""Whatever arrives in whatever order under whatever name: its slot alone says what address it gets."""

from __future__ import annotations

from functools import partial

import pytest

from terrible.net import addresses

from . import snapshot
from .lab import CLUSTER, GADGET, address, location
from .node import CLIENTS, Lease, Node
from .process import together
from .program import Program


@pytest.mark.parametrize("client", CLIENTS)
def test_addresses_follow_slots(network: Program, client: str) -> None:
    lab = network.lab
    slots = lab.rng.sample([1, 2, 3, 4], 4)
    seats = dict(zip(slots, lab.rng.sample(lab.nodes, 4), strict=True))
    for slot, node in seats.items():
        lab.plug(node, slot)
    leases = together(partial(node.dhcp, client) for node in seats.values())
    head = "10.42.0.1"
    for slot, lease in zip(seats, leases, strict=True):
        assert lease == Lease(address(slot), head, head, "lab.internal", f"node{slot}", head, ""), slot
    assert network.joined() == {slot: lab.plugged[node.label].name for slot, node in seats.items()}


def test_a_node_that_moves_gets_the_address_of_its_new_slot(network: Program) -> None:
    lab, (node, other, *_) = network.lab, network.lab.nodes
    for slot in (2, 4, 2):
        there = lab.plug(node, slot)
        network.has_joined(slot, there.name)
        assert _address(node) == address(slot)
        lab.unplug(node)
    lab.plug(other, 2, name=there.name)
    assert _address(other) == address(2), "the slot and the name are free for another"


def test_udev_renames_what_has_just_come(network: Program) -> None:
    lab = network.lab
    for slot, node in enumerate(lab.nodes, start=1):
        lab.plug(node, slot, name=f"usb{slot - 1}")
        lab.rename(node, f"enx{slot}")
    for slot in (1, 2, 3, 4):
        network.has_joined(slot, f"enx{slot}")
    assert [_address(node) for node in lab.nodes] == [address(slot) for slot in (1, 2, 3, 4)]


def test_a_name_is_given_on_after_a_renaming(network: Program) -> None:
    lab, (one, two, *_) = network.lab, network.lab.nodes
    network.has_joined(1, lab.plug(one, 1, name="usb0").name)
    lab.rename(one, "eth9")
    lab.plug(two, 2, name="usb0")
    network.has_joined(1, "eth9")
    network.has_joined(2, "usb0")
    assert [_address(one), _address(two)] == [address(1), address(2)]


def test_the_heads_end_may_have_any_mac(network: Program) -> None:
    lab = network.lab
    network.has_joined(3, lab.plug(lab.nodes[0], 3, host_mac="").name)
    assert _address(lab.nodes[0]) == address(3)


@pytest.mark.parametrize("where", ["1-2", "1-1.5", "1-1.1.1", "1-1.10", "2-1.1", "1-1"])
def test_what_sits_elsewhere_is_never_touched(network: Program, where: str) -> None:
    lab, (stranger, node, *_) = network.lab, network.lab.nodes
    ends = {"mac": addresses.mac(CLUSTER, 1), "host_mac": addresses.host_mac(CLUSTER, 1)}
    there = lab.plug_at(stranger, where, GADGET, name="usb0", **ends)
    before = {fact for fact in snapshot.take(lab.head)["links"] if there.name in fact}
    network.has_joined(2, lab.plug(node, 2).name)  # so it has been looked at
    assert network.ask(op="join", slot=1)["ok"]
    assert {fact for fact in snapshot.take(lab.head)["links"] if there.name in fact} == before
    assert network.joined() == {2: lab.plugged[node.label].name}
    assert where != location(1)


def test_a_device_that_is_no_pi_is_never_touched(network: Program) -> None:
    """Such as the adapter of the head's own way out, in a port of the cluster's hub."""
    lab, (stranger, node, *_) = network.lab, network.lab.nodes
    there = lab.plug_at(stranger, location(1), ("0bda", "8153"), name="eth1")
    network.has_joined(2, lab.plug(node, 2).name)
    assert network.ask(op="join", slot=1)["ok"]
    assert lab.bridged() == {lab.plugged[node.label].name}
    assert "UP" not in lab.head.ip("link", "show", there.name)


def _address(node: Node) -> str:
    lease = node.dhcp()
    return lease.address if lease else "no lease"
