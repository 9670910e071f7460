"""Whatever was set up goes without a trace; what was there before is as it was."""

from __future__ import annotations

import os
import signal

from . import snapshot
from .internet import ADDRESS
from .lab import Lab
from .process import together, until
from .program import BRIDGE, RUN, Program
from .snapshot import Snapshot

RULES = "add table inet mine; add chain inet mine forward { type filter hook forward priority 5; }"
DOCKER = "iptables -N DOCKER-USER && iptables -A FORWARD -j DOCKER-USER && iptables -P FORWARD DROP"


def ready(lab: Lab) -> tuple[Program, Snapshot]:
    """Four nodes plugged in, a head with rules of its own, and what that is like."""
    lab.head.run("nft", RULES)
    lab.head.run("sh", "-c", DOCKER)
    for slot, node in enumerate(lab.nodes, start=1):
        lab.plug(node, slot)
    return Program(lab), snapshot.take(lab.head)


def test_down_leaves_no_trace_and_up_twice_is_up_once(lab: Lab) -> None:
    network, before = ready(lab)
    network.configure(forwards=["2202 -> node2:22"])
    network.up()
    first, helpers = snapshot.take(lab.head), network.helpers()
    assert len(lab.bridged()) == 4
    assert snapshot.difference(before, first)
    network.up()
    snapshot.unchanged(lab.head, first)
    assert network.helpers() == helpers
    network.down()
    snapshot.unchanged(lab.head, before)
    network.down()
    snapshot.unchanged(lab.head, before)


def test_a_helper_that_is_stopped_takes_all_down(lab: Lab) -> None:
    network, before = ready(lab)
    network.configure(mtu=1400)
    helper = network.serve()
    network.do("apply")
    assert len(lab.bridged()) == 4
    assert helper.end(signal.SIGTERM) == 0, helper.said()
    snapshot.unchanged(lab.head, before)


def test_a_killed_helper_leaves_a_network_that_works_and_the_next_carries_on(lab: Lab) -> None:
    network, before = ready(lab)
    network.serve()
    network.do("apply")
    lease = lab.nodes[0].dhcp()
    os.kill(network.helpers()[0], signal.SIGKILL)
    assert lab.nodes[0].ping("203.0.113.1")
    assert lab.nodes[0].dhcp() == lease, "dnsmasq works on"
    network.serve()
    assert network.standing()["subnet"] == "10.42.0.1/24"
    assert lab.nodes[0].ping("203.0.113.1")
    assert len(network.dnsmasqs()) == 1
    network.do("down")
    snapshot.unchanged(lab.head, before)


def test_a_slot_that_went_while_nobody_kept_the_network_is_off_the_bridge(lab: Lab) -> None:
    network, before = ready(lab)
    network.serve()
    network.do("apply")
    assert len(lab.bridged()) == 4
    os.kill(network.helpers()[0], signal.SIGKILL)
    network.configure({"ports": 2})
    network.serve()
    gone = [lab.plugged[node.label].name for node in lab.nodes[2:]]
    assert lab.bridged() == {lab.plugged[node.label].name for node in lab.nodes[:2]}
    assert not any("UP" in lab.head.ip("link", "show", name) for name in gone)
    assert not lab.nodes[2].ping("10.42.0.1")
    network.do("down")
    snapshot.unchanged(lab.head, before)


def test_down_after_a_kill_leaves_no_trace(lab: Lab) -> None:
    network, before = ready(lab)
    for victims in (network.helpers, lambda: [*network.helpers(), *network.dnsmasqs()]):
        network.serve()
        network.do("apply")
        for pid in victims():
            os.kill(pid, signal.SIGKILL)
        network.down()
        snapshot.unchanged(lab.head, before)


def test_down_after_a_start_that_was_killed_leaves_no_trace(lab: Lab) -> None:
    network, before = ready(lab)
    starting = lab.head.spawn(*network.command("up"))
    until(lab.head.file(f"{RUN}/log").exists, why="it is about to start a helper")
    starting.end(signal.SIGKILL)
    for pid in network.helpers():
        os.kill(pid, signal.SIGKILL)
    network.down()
    snapshot.unchanged(lab.head, before)


def test_a_bridge_of_somebody_else_is_not_touched(lab: Lab) -> None:
    lab.head.ip("link", "add", BRIDGE, "type", "bridge")
    network, before = ready(lab)
    code, _, complaint = network.attempt("up")
    assert code != 0
    assert BRIDGE in complaint
    assert len(complaint.splitlines()) == 1
    snapshot.unchanged(lab.head, before)
    network.down()
    snapshot.unchanged(lab.head, before)


def test_another_bridge_takes_the_place_of_the_old(lab: Lab) -> None:
    network, before = ready(lab)
    network.serve()
    network.do("apply")
    network.reload(bridge="br7")
    assert len(lab.bridged("br7")) == 4
    assert not lab.head.file(f"/sys/class/net/{BRIDGE}").exists()
    os.kill(network.helpers()[0], signal.SIGKILL)
    network.configure(bridge="br8")
    network.serve()
    assert len(lab.bridged("br8")) == 4
    assert not lab.head.file("/sys/class/net/br7").exists()
    network.do("down")
    snapshot.unchanged(lab.head, before)


def test_what_others_remove_is_put_right_by_up(lab: Lab) -> None:
    network, before = ready(lab)
    network.serve()
    network.do("apply")
    for number, node in enumerate(lab.nodes, start=1):
        assert node.dhcp() is not None, number
    lab.head.run("nft", "delete table inet terrible; delete table bridge terrible")
    lab.head.ip("address", "flush", "dev", BRIDGE)
    network.up()
    assert lab.nodes[0].ping(ADDRESS)
    lab.head.ip("link", "delete", BRIDGE)
    network.up()
    until(lambda: len(lab.bridged()) == 4, why="all are back")
    assert lab.nodes[0].dhcp() is not None
    assert lab.nodes[0].ping(ADDRESS)
    network.down()
    snapshot.unchanged(lab.head, before)


def test_several_at_once_start_one_helper(lab: Lab) -> None:
    network, before = ready(lab)
    done = together([lambda: network.attempt("up")] * 3)
    assert [code for code, _, _ in done] == [0, 0, 0], done
    assert len(network.helpers()) == 1
    assert len(lab.bridged()) == 4
    network.down()
    snapshot.unchanged(lab.head, before)
