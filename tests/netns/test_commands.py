"""`terrible net show` and `check` say what is so; what cannot be done is one line and an exit code."""

from __future__ import annotations

import pytest

from .lab import Lab, address
from .process import until
from .program import Program


def test_show_has_a_line_for_each_slot(populated: Program) -> None:
    code, said, _ = populated.attempt("show")
    assert code == 0
    head, *lines = said.splitlines()
    assert "terrible0" in head
    assert "10.42.0.1/24" in head
    for slot, (node, line) in enumerate(zip(populated.lab.nodes, lines, strict=True), start=1):
        expected = [
            f"node{slot}",
            f"1-1.{slot}",
            populated.lab.plugged[node.label].name,
            address(slot),
            "answers",
        ]
        assert [word for word in expected if word not in line.split()] == []


def test_check_finds_nothing_where_all_is_well(populated: Program) -> None:
    code, said, _ = populated.attempt("check")
    assert code == 0, said
    assert {line.split()[0] for line in said.splitlines()} == {"ok"}, said


def test_check_names_each_step_that_is_broken(populated: Program) -> None:
    lab, (first, *_) = populated.lab, populated.lab.nodes
    there = lab.plugged[first.label]
    first.ip("link", "set", "usb0", "down")
    lab.head.ip("route", "delete", "default")
    serves = ["--bind-dynamic", "--interface=wan1", "--dhcp-range=192.0.2.50,192.0.2.60"]
    other = lab.head.spawn("dnsmasq", "-k", "--conf-file=/dev/null", "--pid-file", "--port=0", *serves)
    until(lambda: lab.head.serves(67), why="it serves")
    try:
        code, said, _ = populated.attempt("check")
    finally:
        other.end()
        lab.internet.route("wan0")
        first.ip("link", "set", "usb0", "up")
    assert code == 1
    assert f"{there.name} has no carrier" in said
    assert "no default route" in said
    assert "dnsmasq (process" in said
    assert "udp 0.0.0.0:67" in said


def test_check_says_that_nothing_is_up(lab: Lab) -> None:
    code, said, _ = Program(lab).attempt("check")
    assert code == 1
    assert "terrible net up" in said


def test_check_tells_of_rules_that_were_installed_for_other_slots(populated: Program) -> None:
    populated.head.run(*populated.command("install"))
    try:
        assert "terrible net install" not in populated.attempt("check")[1]
        populated.configure({"hub": "3-1"})
        assert "71-terrible-net.rules: not as this" in populated.attempt("check")[1]
        populated.head.run(*populated.command("install"))
        assert "terrible net install" not in populated.attempt("check")[1]
    finally:
        populated.configure()
        populated.head.run(*populated.command("uninstall"))


@pytest.mark.parametrize(
    ("top", "net", "why"),
    [
        ({"ports": None, "hub": None}, {}, "no slot"),
        ({}, {"enabled": False}, "enabled = false"),
        ({}, {"bridge": "all"}, "bridge"),
        ({}, {"guests": "10.42.0.9"}, "range"),
        ({}, {"guests": "10.9.0.2-10.9.0.9"}, "10.9.0.2"),
        ({}, {"forwards": ["2202 -> node9:22"]}, "node9"),
        ({}, {"forwards": ["0 -> node1:22"]}, "0 -> node1:22"),
        ({}, {"forward_chain": "inet filter forward; reboot"}, "forward_chain"),
        ({"subnet": "10.42.0.1/28", "ports": 8}, {}, "no room for slot"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_configuration_is_one_line_and_nothing_is_done(
    network: Program, top: dict[str, object], net: dict[str, object], why: str
) -> None:
    network.configure(top, **net)
    try:
        code, said, complaint = network.attempt("up")
    finally:
        network.configure()
    assert code != 0, said
    assert why in complaint
    assert len(complaint.splitlines()) == 1
    assert network.standing()["subnet"] == "10.42.0.1/24"
