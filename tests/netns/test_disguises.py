"""No disguise brings an answer of a node's past the guard; what is no answer passes, in the same disguise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .process import until
from .program import Program

SCRIPT = Path(__file__).with_name("disguised.py")
OLD = ["none", "options", "fragments", "fragments, last first"]
TAGGED = ["tag", "two tags", "service tag", "both tags", "tagged fragments"]
NEW = ["ipv6", "ipv6 options", "ipv6 fragments"]
NEW_TAGGED = ["ipv6 tag", "ipv6 two tags"]
ROUTERS = ["router", "router options", "router tag", "router two tags"]


@pytest.mark.parametrize("ports", [(67, 68), (67, 1068), (1067, 68)], ids=str)
@pytest.mark.parametrize("disguise", OLD + TAGGED)
def test_an_answer_of_dhcp_is_heard_by_nobody(
    populated: Program, disguise: str, ports: tuple[int, int]
) -> None:
    dropped = counted(populated)
    assert heard(populated, disguise, *ports) == "plain"
    assert counted(populated) > dropped


@pytest.mark.parametrize("ports", [(547, 546), (547, 1546), (1547, 546)], ids=str)
@pytest.mark.parametrize("disguise", NEW + NEW_TAGGED)
def test_an_answer_of_dhcpv6_is_heard_by_nobody(
    populated: Program, disguise: str, ports: tuple[int, int]
) -> None:
    dropped = counted(populated)
    assert heard(populated, disguise, *ports) == "plain"
    assert counted(populated) > dropped


@pytest.mark.parametrize("disguise", ROUTERS)
def test_a_router_is_heard_by_nobody(populated: Program, disguise: str) -> None:
    dropped = counted(populated)
    assert heard(populated, disguise, 0, 1000) == "plain"
    assert counted(populated) > dropped


@pytest.mark.parametrize("disguise", OLD + NEW)
def test_what_is_no_answer_is_heard_and_not_counted(populated: Program, disguise: str) -> None:
    dropped = counted(populated)
    assert heard(populated, disguise, 1067, 1068) == "datagram plain"
    assert counted(populated) == dropped


def test_every_disguise_would_be_heard_without_the_guard(populated: Program) -> None:
    """So that silence above is the guard's, and not the disguise's."""
    populated.head.run("nft", "add", "table", "bridge", "terrible", "{ flags dormant; }")
    try:
        for disguise in OLD + TAGGED + NEW + NEW_TAGGED:
            assert heard(populated, disguise, 67, 68) == "datagram plain", disguise
        for disguise in ROUTERS:
            assert heard(populated, disguise, 0, 1000) == "plain router", disguise
    finally:
        populated.head.run("nft", "add", "table", "bridge", "terrible")


def heard(network: Program, disguise: str, source: int, to: int) -> str:
    """What node 1 hears of what node 4 says."""
    one, *_, four = network.lab.nodes
    ear = one.spawn(sys.executable, "-I", SCRIPT, "hear", str(to))
    until(lambda: "ready" in ear.said(), why="the other listens")
    four.run(sys.executable, "-I", SCRIPT, "send", disguise, str(source), str(to))
    said = until(lambda: ear.said().splitlines()[1:], why="the plain datagram is heard")
    return str(said[0])


def counted(network: Program) -> int:
    return network.dropped().get(network.lab.plugged["node4"].name, 0)
