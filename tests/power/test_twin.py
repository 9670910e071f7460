"""The two sides of USB 3 sockets: what the kernel links, what ids say, and who has the last word."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible.model import Location
from terrible.power.hub import Hub
from terrible.power.topology import Topology
from terrible.power.twin import Twins

from .clock import run
from .fakehub import FakeHub, Hubs
from .tree import CONTROLLER, Tree

ONE, OTHER = b"\1" * 16, b"\2" * 16
OTHER_CONTROLLER = Path("devices/pci0000:00/0000:00:02.0")


def two_sided(tree: Tree, slow: str, fast: str, ports: int = 4, container: bytes = ONE) -> dict[str, FakeHub]:
    """A USB 3 hub, which shows up as two."""
    for name, speed, version in ((slow, "480", "2.10"), (fast, "5000", "3.00")):
        tree.hub(name, CONTROLLER / f"usb{name[0]}" / name, ports=ports, speed=speed, version=f" {version}")
    return {
        slow: FakeHub(ports=ports, container=container),
        fast: FakeHub(ports=ports, container=container, superspeed=True),
    }


def twin(tree: Tree, hubs: dict[str, FakeHub], location: str) -> str | None:
    topology = Topology(tree.root)
    twins = Twins(topology, lambda name: Hub(name, topology.superspeed(name), Hubs(hubs)))
    return run(twins.of(Location(location)))


def test_root_ports_are_what_the_kernel_links(tree: Tree) -> None:
    tree.peers("1-1", "2-2")
    assert twin(tree, {}, "1-1") == "2-2"
    assert twin(tree, {}, "2-2") == "1-1"
    assert twin(tree, {}, "1-2") is None


def test_ports_of_a_hub_are_what_the_kernel_links(tree: Tree) -> None:
    hubs = two_sided(tree, "1-2", "2-2")
    tree.peers("1-2.3", "2-2.3")
    assert twin(tree, hubs, "1-2.3") == "2-2.3"


@pytest.mark.parametrize("silent", ["1-2", "2-2"])
def test_a_hub_that_tells_no_id_leaves_it_to_the_kernel(tree: Tree, silent: str) -> None:
    hubs = two_sided(tree, "1-2", "2-2")
    hubs[silent].container = b""
    tree.peers("1-2.3", "2-2.3")
    assert twin(tree, hubs, "1-2.3") == "2-2.3"


def test_the_container_id_finds_what_the_kernel_does_not(tree: Tree) -> None:
    hubs = two_sided(tree, "1-2", "2-1") | two_sided(tree, "1-1.4", "2-2", container=OTHER)
    assert twin(tree, hubs, "1-2.3") == "2-1.3"
    assert twin(tree, hubs, "2-1.3") == "1-2.3"
    assert twin(tree, hubs, "1-1.4.1") == "2-2.1"


def test_the_container_id_overrules_a_link_by_port_numbers(tree: Tree) -> None:
    """Of a hub in a Pi 4's first USB 3 socket, the kernel links the ports with those of the hub inside."""
    hubs = two_sided(tree, "1-2", "2-2") | two_sided(tree, "1-1.4", "2-1", container=OTHER)
    tree.peers("1-2.1", "2-1.1")
    assert twin(tree, hubs, "1-2.1") == "2-2.1"
    assert twin(tree, hubs, "2-1.1") == "1-1.4.1"


def test_two_hubs_with_one_id_are_not_told_apart(tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    hubs = two_sided(tree, "1-2", "2-1") | two_sided(tree, "1-1.4", "2-2")
    assert twin(tree, hubs, "1-2.3") is None
    assert "1-2 has no other side: it shares its container id with 2-1, 2-2" in caplog.text


def test_a_hub_of_another_controller_is_no_other_side(tree: Tree) -> None:
    hubs = two_sided(tree, "1-2", "2-1")
    tree.hub("usb3", OTHER_CONTROLLER / "usb3", ports=2, speed="5000")
    tree.hub("3-1", OTHER_CONTROLLER / "usb3/3-1", ports=4, speed="5000", version="3.00")
    hubs["3-1"] = FakeHub(container=ONE, superspeed=True)
    assert twin(tree, hubs, "1-2.3") == "2-1.3"
    assert twin(tree, hubs, "3-1.3") is None


def test_a_socket_for_usb_2_only(tree: Tree) -> None:
    hubs = two_sided(tree, "1-2", "2-1")
    tree.root.joinpath("bus/usb/devices/2-1/maxchild").write_text("2\n")
    assert twin(tree, hubs, "1-2.2") == "2-1.2"
    assert twin(tree, hubs, "1-2.3") is None


def test_a_hub_of_usb_2_is_not_asked(tree: Tree) -> None:
    """It may hang; BOS came with version 2.01."""
    tree.root.joinpath("bus/usb/devices/1-1/version").write_text(" 2.00\n")
    assert twin(tree, {"1-1": FakeHub(error=AssertionError("asked"))}, "1-1.2") is None
