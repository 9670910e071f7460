"""The cluster's network runs into no other: the next of a list is taken, one that was set is an error."""

from __future__ import annotations

from terrible.net.addresses import SUBNETS

from . import snapshot
from .lab import Lab
from .process import until
from .program import Program


def test_the_next_of_the_list_is_taken_remembered_and_said(lab: Lab) -> None:
    lab.head.ip("route", "add", "10.42.0.128/25", "via", "198.51.100.1")
    network = Program(lab)
    said = network.up()
    assert "10.42.0.1/24" in said
    assert "192.168.137.1/24" in said
    lab.plug(lab.nodes[0], 1)
    lease = lab.nodes[0].dhcp()
    assert lease is not None
    assert (lease.address, lease.router) == ("192.168.137.11", "192.168.137.1")
    network.down()
    lab.head.ip("route", "delete", "10.42.0.128/25")
    network.up()
    assert network.standing()["subnet"] == "192.168.137.1/24", "addresses do not move without need"
    network.down()


def test_one_that_was_set_and_clashes_is_an_error_before_anything_is_done(lab: Lab) -> None:
    lab.head.ip("route", "add", "10.0.0.0/8", "via", "198.51.100.1")
    network = Program(lab)
    network.configure({"subnet": "10.42.0.1/24"})
    before = snapshot.take(lab.head)
    code, _, complaint = network.attempt("up")
    assert code != 0
    assert "10.0.0.0/8 on wan0" in complaint
    assert len(complaint.splitlines()) == 1
    snapshot.unchanged(lab.head, before)


def test_no_room_at_all_is_an_error_before_anything_is_done(lab: Lab) -> None:
    for subnet in SUBNETS:
        lab.head.ip("route", "add", f"{subnet.rsplit('.', 1)[0]}.0/25", "via", "198.51.100.1")
    before = snapshot.take(lab.head)
    code, _, complaint = Program(lab).attempt("up")
    assert code != 0
    assert all(subnet in complaint for subnet in SUBNETS)
    snapshot.unchanged(lab.head, before)


def test_a_clash_that_comes_later_is_told(network: Program) -> None:
    network.head.ip("route", "add", "10.42.0.0/16", "via", "198.51.100.1")
    try:
        until(lambda: "10.42.0.0/16" in network.standing()["problem"], why="the clash is told")
    finally:
        network.head.ip("route", "delete", "10.42.0.0/16")
    until(lambda: network.standing()["problem"] == "", why="the clash is over")
