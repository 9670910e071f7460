"""Names of nodes, both ways, from a node and from the head; all others are the internet's."""

from __future__ import annotations

import pytest

from . import internet
from .lab import address
from .program import Program

SLOTS = (1, 2, 3, 4)


@pytest.mark.parametrize("asked", ["node{}", "node{}.lab.internal"])
def test_a_node_knows_every_other_by_name(populated: Program, asked: str) -> None:
    node = populated.lab.nodes[0]
    for slot in SLOTS:
        assert node.resolve(asked.format(slot)) == address(slot)
    assert node.ping(asked.format(3))


def test_a_node_knows_every_other_by_address(populated: Program) -> None:
    node = populated.lab.nodes[0]
    assert [node.resolve("-x", address(slot)) for slot in SLOTS] == [f"node{n}.lab.internal." for n in SLOTS]


def test_a_node_knows_the_head(populated: Program) -> None:
    node = populated.lab.nodes[2]
    assert node.resolve("head") == node.resolve("head.lab.internal") == "10.42.0.1"
    assert node.resolve("-x", "10.42.0.1") == "head.lab.internal."


def test_a_node_knows_the_internet_through_the_head(populated: Program) -> None:
    assert populated.lab.nodes[1].resolve(internet.NAME) == internet.ADDRESS


def test_nobody_else_is_asked_for_what_is_ours(populated: Program) -> None:
    node = populated.lab.nodes[0]
    for name in ("node9.lab.internal", "node9"):
        assert "status: NXDOMAIN" in node.run("dig", "@10.42.0.1", name), name
    assert "status: NXDOMAIN" in node.run("dig", "@10.42.0.1", "-x", "10.42.0.99")


@pytest.mark.parametrize("asked", ["node{}", "node{}.lab.internal"])
def test_the_head_knows_every_node(populated: Program, asked: str) -> None:
    for slot in SLOTS:
        found = populated.head.run("getent", "ahostsv4", asked.format(slot)).split()[0]
        assert found == address(slot)
        assert asked.format(slot) in populated.head.run("getent", "hosts", address(slot)).split()
    assert populated.head.run("getent", "ahostsv4", internet.NAME).split()[0] == internet.ADDRESS


def test_the_head_keeps_its_own_names(populated: Program) -> None:
    lines = populated.head.run("cat", "/etc/hosts").splitlines()
    assert lines[:2] == ["127.0.0.1 localhost", "127.0.1.1 head"]
    assert populated.head.run("getent", "hosts", "head").split()[0] == "127.0.1.1"
