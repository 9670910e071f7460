"""Boards that switch all their sockets together, in made trees of their real device names."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible.power.boards import gang
from terrible.power.topology import Topology

from .tree import Tree

PCIE = Path("devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0")
OTG = Path("devices/platform/soc/fe980000.usb")
RP1 = Path("devices/platform/axi/1000120000.pcie")
SOCKETS_4 = "1-1.1 1-1.2 1-1.3 1-1.4 2-1 2-2 2-3 2-4"
SOCKETS_5 = "1-1 1-2 2-1 3-1 3-2 4-1"


class Bare(Tree):
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bus/usb/devices").mkdir(parents=True)


def pi4(root: Path, compatible: str = "raspberrypi,4-model-b") -> Topology:
    tree = Bare(root)
    tree.hub("usb1", PCIE / "usb1", ports=1, speed="480")
    tree.hub("usb2", PCIE / "usb2", ports=4, speed="5000")
    tree.hub("1-1", PCIE / "usb1/1-1", ports=4, speed="480", idVendor="2109", idProduct="3431")
    tree.hub("1-1.3", PCIE / "usb1/1-1/1-1.3", ports=4, speed="480", idVendor="0409", idProduct="005a")
    tree.hub("usb3", OTG / "usb3", ports=1, speed="480")
    tree.board(compatible, "brcm,bcm2711")
    return Topology(root)


def pi5(root: Path, compatible: str = "raspberrypi,5-model-b") -> Topology:
    tree = Bare(root)
    for first, name, host in ((1, "1f00200000.usb", "xhci-hcd.0"), (3, "1f00300000.usb", "xhci-hcd.1")):
        tree.hub(f"usb{first}", RP1 / name / host / f"usb{first}", ports=2, speed="480")
        tree.hub(f"usb{first + 1}", RP1 / name / host / f"usb{first + 1}", ports=1, speed="5000")
    via = RP1 / "1f00200000.usb/xhci-hcd.0/usb1/1-1"
    tree.hub("1-1", via, ports=4, speed="480", idVendor="2109", idProduct="3431")
    tree.board(compatible, "brcm,bcm2712")
    return Topology(root)


@pytest.mark.parametrize("hub", ["1-1", "usb2"])
def test_all_sockets_of_a_pi_4(tmp_path: Path, hub: str) -> None:
    found = gang(pi4(tmp_path), hub)
    assert found is not None
    assert (found.board, {*map(str, found.ports)}) == ("Raspberry Pi 4", set(SOCKETS_4.split()))


@pytest.mark.parametrize("hub", ["usb1", "usb2", "usb3", "usb4"])
def test_all_sockets_of_a_pi_5(tmp_path: Path, hub: str) -> None:
    found = gang(pi5(tmp_path), hub)
    assert found is not None
    assert (found.board, {*map(str, found.ports)}) == ("Raspberry Pi 5", set(SOCKETS_5.split()))


@pytest.mark.parametrize("hub", ["usb3", "1-1.3", "usb9"])
def test_other_hubs_of_a_pi_4_are_what_they_say(tmp_path: Path, hub: str) -> None:
    """The USB-C port, and a hub in a socket."""
    assert gang(pi4(tmp_path), hub) is None


def test_a_hub_in_a_socket_of_a_pi_5_is_what_it_says(tmp_path: Path) -> None:
    """Even if it is of the kind that a Pi 4 has inside."""
    assert gang(pi5(tmp_path), "1-1") is None


def test_boards_in_a_keyboard(tmp_path: Path) -> None:
    for make, compatible, hub, name in (
        (pi4, "raspberrypi,400", "1-1", "Raspberry Pi 400"),
        (pi5, "raspberrypi,500", "usb1", "Raspberry Pi 500"),
    ):
        found = gang(make(tmp_path / name, compatible), hub)
        assert found is not None
        assert found.board == name


def test_the_same_chip_on_another_board(tmp_path: Path) -> None:
    assert gang(pi4(tmp_path, "raspberrypi,4-compute-module"), "1-1") is None


def test_a_machine_without_a_device_tree(tree: Tree) -> None:
    assert gang(Topology(tree.root), "1-1") is None
