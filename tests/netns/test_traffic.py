"""Nodes reach each other and the internet, past everybody else's rules; nobody comes in who was not asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import echo, internet, program
from .lab import Lab, address
from .node import Node
from .process import until
from .program import Program

FOREIGN = """
table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname "nothing" counter accept comment "not ours"
  }
}
"""
DOCKER = "iptables -N DOCKER-USER && iptables -A FORWARD -j DOCKER-USER && iptables -P FORWARD DROP"


def heard(node: Node, kind: str = "tcp", limit: float = 2) -> str:
    """Whom the internet believes to speak to."""
    return echo.ask(node, kind, internet.ADDRESS, internet.PORT, limit)


def test_nodes_reach_the_internet_behind_the_heads_address(populated: Program) -> None:
    assert "10.42." not in populated.lab.internet.ip("route", "show", "table", "all")
    for node in populated.lab.nodes:
        assert [heard(node, kind) for kind in ("tcp", "udp")] == ["internet hears 198.51.100.2"] * 2
    assert populated.lab.nodes[0].ping(internet.ADDRESS)


def test_nodes_hear_each_other_as_they_are(populated: Program) -> None:
    one, two, *_ = populated.lab.nodes
    with serving(two, "node2", 7):
        for kind in ("tcp", "udp"):
            assert echo.ask(one, kind, address(2), 7) == f"node2 hears {address(1)}"
            assert echo.ask(populated.head, kind, address(2), 7) == "node2 hears 10.42.0.1"


def test_the_internet_gets_in_nowhere(populated: Program) -> None:
    beyond = populated.lab.internet
    beyond.ip("route", "add", "10.42.0.0/24", "via", "198.51.100.2")
    try:
        assert not beyond.ping(address(1))
    finally:
        beyond.ip("route", "delete", "10.42.0.0/24")


def test_a_bridge_that_netfilter_sees_passes_all_between_nodes(lab: Lab) -> None:
    lab.head.sysctl("bridge/bridge-nf-call-iptables", 1)
    lab.head.run("nft", "-f", "-", given=FOREIGN)
    with program.running(lab, forward_chain="inet filter forward") as network:
        network.populate()
        assert lab.nodes[0].ping(address(4))
        assert heard(lab.nodes[0]) == "internet hears 198.51.100.2"
    assert (
        lab.head.run("nft", "-s", "list", "ruleset").split()
        == FOREIGN.replace("priority filter", "priority filter")
        .replace("counter accept", "counter accept")
        .split()
    )


def test_dockers_chain_is_used_without_being_named(lab: Lab) -> None:
    lab.head.sysctl("bridge/bridge-nf-call-iptables", 1)
    lab.head.run("sh", "-c", DOCKER)
    before = lab.head.run("iptables-save")
    with program.running(lab) as network:
        network.populate()
        assert lab.nodes[0].ping(address(4))
        assert heard(lab.nodes[0]) == "internet hears 198.51.100.2"
    assert _rules(lab.head.run("iptables-save")) == _rules(before)


def test_what_drops_and_may_not_be_touched_is_named_with_its_remedy(lab: Lab) -> None:
    lab.head.run("nft", "-f", "-", given=FOREIGN)
    with program.running(lab) as network:
        network.populate()
        assert heard(lab.nodes[0], limit=0.5) == ""
        problem = network.standing()["problem"]
        assert "inet filter forward" in problem
        code, said, _ = network.attempt("check")
        assert code == 1
        lines = [line for line in said.splitlines() if "nft insert rule inet filter forward" in line]
        assert lines, said
        remedy = lines[0][lines[0].index("sudo ") :].split(" (or")[0].replace("sudo ", "")
        lab.head.run("sh", "-c", remedy)
        assert heard(lab.nodes[0]) == "internet hears 198.51.100.2"


def test_a_port_of_the_head_leads_to_a_node(populated: Program) -> None:
    beyond, (_, two, three, _) = populated.lab.internet, populated.lab.nodes
    populated.reload(forwards=["2202 -> node2:22", "8080->node3:80"])
    with serving(two, "node2", 22), serving(three, "node3", 80):
        until(lambda: echo.ask(beyond, "tcp", "198.51.100.2", 2202), why="the forward is there")
        assert echo.ask(beyond, "tcp", "198.51.100.2", 2202) == "node2 hears 198.51.100.1"
        assert echo.ask(beyond, "tcp", "198.51.100.2", 8080) == "node3 hears 198.51.100.1"
        assert echo.ask(beyond, "tcp", "198.51.100.2", 22, limit=0.5) == ""
        populated.reload()
        until(lambda: not echo.ask(beyond, "tcp", "198.51.100.2", 2202, limit=0.5), why="the forward is gone")


@contextmanager
def serving(node: Node, name: str, port: int) -> Iterator[None]:
    process = echo.serve(node, name, address(int(name[-1])), port)
    yield
    process.end()


def _rules(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if not line.startswith(("#", ":"))]
