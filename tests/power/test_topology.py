"""Topology over a made sysfs tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible.model import Location
from terrible.power.topology import Topology, disable_attribute, port_of, ports_of

from .tree import Tree


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("1-1.2", "1-1:1.0/1-1-port2"),
        ("1-1.2.3", "1-1.2:1.0/1-1.2-port3"),
        ("2-14", "2-0:1.0/usb2-port14"),
        ("1-1", "1-0:1.0/usb1-port1"),
        ("10-3.1", "10-3:1.0/10-3-port1"),
    ],
)
def test_disable_attribute(location: str, path: str) -> None:
    assert disable_attribute(Location(location)) == Path("bus/usb/devices", path, "disable")


@pytest.mark.parametrize("location", ["1-1", "3-2.4", "12-1.2.3.4"])
def test_a_hub_and_a_port_make_a_location(location: str) -> None:
    where = Location(location)
    assert port_of(where.hub, where.port) == where


def test_ports_of() -> None:
    assert ports_of("1-1", 3) == {Location("1-1.1"), Location("1-1.2"), Location("1-1.3")}
    assert ports_of("usb2", 1) == {Location("2-1")}
    with pytest.raises(ValueError, match="no USB location"):
        ports_of("../1", 2)


def test_hubs(tree: Tree) -> None:
    topology = Topology(tree.root)
    assert [topology.ports(hub) for hub in ("usb1", "usb2", "1-1", "1-2")] == [2, 2, 4, 0]
    assert [topology.superspeed(hub) for hub in ("usb1", "usb2", "1-1", "1-2")] == [False, True, False, False]


def test_what_sits_where(tree: Tree) -> None:
    topology = Topology(tree.root)
    assert topology.occupied("usb1") == {Location("1-1")}
    assert not topology.occupied("1-1")
    tree.plug("1-1.2", devnum=17)
    assert topology.occupied("1-1") == {Location("1-1.2")}
    assert topology.devnum(Location("1-1.2")) == 17
    tree.unplug("1-1.2")
    assert topology.devnum(Location("1-1.2")) is None


def test_has_disable(tree: Tree) -> None:
    topology = Topology(tree.root)
    assert topology.has_disable(Location("1-1.4"))
    assert topology.has_disable(Location("1-2"))
    assert not topology.has_disable(Location("1-1.5"))
    tree.disable("1-1.4").unlink()  # Linux < 6.0
    assert not topology.has_disable(Location("1-1.4"))


@pytest.mark.parametrize("text", ["", "unknown", "nan", "inf", "\0", "4 4"])
def test_strange_attributes(tree: Tree, text: str) -> None:
    tree.root.joinpath("bus/usb/devices/1-1/maxchild").write_text(text)
    assert Topology(tree.root).ports("1-1") == 0
