"""The nodes' way out is the head's: it moves when the head's moves, and nothing of it stays behind."""

from __future__ import annotations

from . import echo, internet, program
from .internet import WIRES
from .lab import Lab
from .node import Node
from .process import until
from .program import Program

FORWARDING = "ipv4/conf/{}/forwarding"


def test_it_follows_the_default_route(populated: Program) -> None:
    lab, (node, *_) = populated.lab, populated.lab.nodes
    assert heard(node) == WIRES["wan0"][1]
    lab.internet.route("wan1")
    until(lambda: heard(node) == WIRES["wan1"][1], why="nodes go out over the other")
    assert populated.standing()["uplink"] == "wan1"
    assert forwarding(lab) == {"wan0": 0, "wan1": 1}
    lab.head.ip("route", "delete", "default")
    until(lambda: populated.standing()["uplink"] == "", why="there is no way out")
    assert forwarding(lab) == {"wan0": 0, "wan1": 0}
    assert node.ping("10.42.0.14")
    lab.internet.route("wan0")
    until(lambda: heard(node) == WIRES["wan0"][1], why="there is a way out again")


def test_one_that_vanishes_and_comes_back_is_used_again(populated: Program) -> None:
    lab = populated.lab
    lab.head.ip("link", "set", "wan0", "down")
    until(lambda: populated.standing()["uplink"] == "", why="there is no way out")
    lab.head.ip("link", "set", "wan0", "up")
    lab.internet.route("wan0")
    until(lambda: heard(lab.nodes[0]) == WIRES["wan0"][1], why="there is a way out again")


def test_nodes_see_no_other_network_of_the_head(populated: Program) -> None:
    """Only the uplink is a way out: what else the head is connected to is none of a node's business."""
    assert not populated.lab.nodes[0].ping(WIRES["wan1"][0])


def test_one_that_is_named_is_the_way_out(network: Program) -> None:
    network.reload(uplink="wan1")
    until(lambda: network.standing()["uplink"] == "wan1", why="it is the uplink")
    assert forwarding(network.lab) == {"wan0": 0, "wan1": 1}


def test_a_cluster_comes_up_without_one(lab: Lab) -> None:
    lab.head.ip("route", "delete", "default")
    with program.running(lab) as network:
        network.populate()
        assert lab.nodes[0].ping("10.42.0.14")


def test_what_was_forwarded_before_is_forwarded_afterwards(lab: Lab) -> None:
    lab.head.sysctl(FORWARDING.format("wan0"), 1)
    with program.running(lab):
        pass
    assert forwarding(lab) == {"wan0": 1, "wan1": 0}


def test_what_somebody_else_has_switched_on_since_stays_on(lab: Lab) -> None:
    with program.running(lab):
        assert lab.head.sysctl("ipv4/ip_forward") == 0, "for single interfaces only"
        lab.head.sysctl("ipv4/ip_forward", 1)  # as Docker does
    assert forwarding(lab) == {"wan0": 1, "wan1": 1}


def heard(node: Node) -> str:
    return echo.ask(node, "tcp", internet.ADDRESS, internet.PORT).removeprefix("internet hears ")


def forwarding(lab: Lab) -> dict[str, int]:
    return {wire: lab.head.sysctl(FORWARDING.format(wire)) for wire in WIRES}
