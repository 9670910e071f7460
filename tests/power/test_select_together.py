"""What is switched with a port: the other side of its socket, and the other sockets of its board."""

from __future__ import annotations

from pathlib import Path

from terrible.model import Location, Stage
from terrible.policy import Neighbour, hurt
from terrible.power.client import PortHelper
from terrible.power.select import BestPower
from terrible.power.topology import Topology, ports_of

from .choosing import SOCKET, Kernel, chosen, refused, two_sided
from .clock import run
from .fakehub import FakeHub, Hubs
from .test_boards import SOCKETS_5, pi4, pi5
from .tree import Tree

# -- both sides of a socket ---------------------------------------------------------------------------


def test_both_sides_are_switched_by_the_kernel(tree: Tree) -> None:
    port = chosen(tree, two_sided(tree), Kernel(tree, SOCKET), Location("1-2"))
    assert (port.backend, port.affects()) == ("sysfs", SOCKET)
    run(port.switch(on=False))
    assert [tree.disable(at).read_text() for at in sorted(SOCKET)] == ["1\n"] * 2


def test_both_sides_are_switched_by_class_requests(tree: Tree) -> None:
    hubs = two_sided(tree)
    port = chosen(tree, hubs, Kernel(tree, frozenset()), Location("1-2"))
    assert (port.backend, port.affects()) == ("hub", SOCKET)
    run(port.switch(on=False))
    assert hubs.hubs["usb1"].status == hubs.hubs["usb2"].status == {2: 0}


def test_a_side_that_the_helper_does_not_switch_is_named(tree: Tree) -> None:
    kernel = Kernel(tree, SOCKET)
    port = chosen(tree, two_sided(tree), kernel, Location("1-2"))
    kernel.serves = frozenset({Location("1-2")})
    told = refused(lambda: port.switch(on=False))
    assert told == "2-2, which is switched with 1-2: not configured"


def test_the_other_side_is_found_when_it_comes_later(tree: Tree) -> None:
    """The two sides of a hub arrive one after the other."""
    tree.root.joinpath("bus/usb/devices/usb2/maxchild").write_text("0\n")
    power = BestPower(Topology(tree.root), Kernel(tree, SOCKET), two_sided(tree))
    tree.disable("1-2").with_name("peer").unlink()
    assert run(power.port(Location("1-2"))).affects() == {Location("1-2")}
    tree.disable("1-2").with_name("peer").symlink_to("../../../usb2/2-0:1.0/usb2-port2")
    tree.root.joinpath("bus/usb/devices/usb2/maxchild").write_text("2\n")
    assert run(power.port(Location("1-2"))).affects() == SOCKET


def test_what_sits_behind_a_hub_on_either_side_is_not_cut(tree: Tree) -> None:
    """`affects` has the ports, and a port holds whatever is behind it, however deep."""
    port = chosen(tree, two_sided(tree), Kernel(tree, SOCKET), Location("1-2"))
    behind = [
        Neighbour(Location("1-2.4"), Stage.GADGET, "node7"),
        Neighbour(Location("2-2.1.3"), Stage.OTHER),
        Neighbour(Location("1-1.2"), Stage.GADGET, "node2"),
        Neighbour(Location("2-1"), Stage.OTHER),
    ]
    assert hurt(Location("1-2"), port.affects(), behind) == [
        "node7 at 1-2.4",
        "a device that is no Pi at 2-2.1.3",
    ]


# -- boards that switch all their sockets together ----------------------------------------------------


def test_the_sockets_of_a_pi_4(tmp_path: Path) -> None:
    hubs = {"1-1": FakeHub(), "usb2": FakeHub(superspeed=True), "1-1.3": FakeHub()}
    power = BestPower(pi4(tmp_path), PortHelper(Path("/nowhere")), Hubs(hubs))
    port = run(power.port(Location("1-1.2")))
    assert port.affects() == ports_of("1-1", 4) | ports_of("usb2", 4)
    assert "all USB ports of a Raspberry Pi 4 are switched together" in port.why
    assert run(power.port(Location("1-1.3.2"))).affects() == {Location("1-1.3.2")}
    run(port.switch(on=False))
    assert hubs["1-1"].status == hubs["usb2"].status == dict.fromkeys((1, 2, 3, 4), 0)
    assert hubs["1-1.3"].switched == []


def test_the_sockets_of_a_pi_5(tmp_path: Path) -> None:
    """Each of its hubs says that it switches per port, and the last of them that is on powers all."""
    hubs = {
        "usb1": FakeHub(ports=2),
        "usb2": FakeHub(ports=1, superspeed=True),
        "usb3": FakeHub(ports=2),
        "usb4": FakeHub(ports=1, superspeed=True),
    }
    power = BestPower(pi5(tmp_path), PortHelper(Path("/nowhere")), Hubs(hubs))
    port = run(power.port(Location("3-2")))
    assert port.affects() == set(SOCKETS_5.split())
    assert "all USB ports of a Raspberry Pi 5 are switched together" in port.why
    run(port.switch(on=False))
    assert all(set(hub.status.values()) == {0} for hub in hubs.values())
