"""Which switch a location gets, and the kernel's own switch over a made tree."""

from __future__ import annotations

import pytest

from terrible.errors import HostError
from terrible.model import Location
from terrible.power.topology import ports_of

from .choosing import ALL, HERE, Kernel, chosen, refused
from .clock import run
from .fakehub import FakeHub
from .tree import Tree


def test_the_kernels_switch_comes_first(tree: Tree) -> None:
    tree.plug("1-1.2", devnum=9)
    hub = FakeHub()
    port = chosen(tree, hub)
    assert port.backend == "sysfs"
    assert port.affects() == {HERE}
    assert run(port.powered()) is True
    run(port.switch(on=False))
    assert run(port.powered()) is False
    assert tree.disable("1-1.2").read_text() == "1\n"
    assert tree.disable("1-1.3").read_text() == "0\n"
    run(port.switch(on=True))
    assert run(port.powered()) is True
    assert hub.switched == []


def test_a_gang_through_the_kernel(tree: Tree) -> None:
    port = chosen(tree, FakeHub(characteristics=0))
    assert port.affects() == ALL
    run(port.switch(on=False))
    assert [tree.disable(location).read_text() for location in sorted(ALL)] == ["1\n"] * 4
    run(port.switch(on=True))
    assert [tree.disable(location).read_text() for location in sorted(ALL)] == ["0\n"] * 4


def test_the_kernel_says_it_is_still_on(tree: Tree) -> None:
    kernel = Kernel(tree)
    kernel.lies = True
    port = chosen(tree, FakeHub(), kernel)
    assert refused(lambda: port.switch(on=False)) == "1-1.2 still reports power after it was switched"


def test_the_kernel_says_it_is_still_off(tree: Tree) -> None:
    kernel = Kernel(tree)
    kernel.lies = True
    tree.disable("1-1.2").write_text("1\n")
    port = chosen(tree, FakeHub(), kernel)
    assert refused(lambda: port.switch(on=True)) == "1-1.2 still reports no power after it was switched"


def test_the_device_stays(tree: Tree) -> None:
    tree.plug("1-1.2", devnum=9)
    kernel = Kernel(tree)
    kernel.lingers = True
    port = chosen(tree, FakeHub(), kernel)
    assert "device 9 is still there" in refused(lambda: port.switch(on=False))


def test_the_helper_stops_answering(tree: Tree) -> None:
    kernel = Kernel(tree)
    port = chosen(tree, FakeHub(), kernel)
    kernel.serves = frozenset()
    assert run(port.powered()) is None
    assert refused(lambda: port.switch(on=False)) == "not configured"


def test_class_requests_where_the_kernel_is_old(tree: Tree) -> None:
    tree.disable("1-1.2").unlink()
    hub = FakeHub()
    port = chosen(tree, hub)
    assert port.backend == "hub"
    run(port.switch(on=False))
    assert hub.switched == [(2, False)]


@pytest.mark.parametrize("serves", [frozenset[Location](), frozenset({HERE})])
def test_class_requests_where_the_helper_does_not_serve_all(tree: Tree, serves: frozenset[Location]) -> None:
    port = chosen(tree, FakeHub(characteristics=0), Kernel(tree, serves))
    assert port.backend == "hub"
    assert port.affects() == ALL


def test_a_root_hub(tree: Tree) -> None:
    here = Location("1-2")
    hub = FakeHub(ports=2, characteristics=0)
    assert chosen(tree, hub, Kernel(tree, ports_of("usb1", 2)), here).affects() == ports_of("usb1", 2)


def test_a_root_hub_is_switched_by_the_kernel(tree: Tree) -> None:
    here = Location("1-2")
    hub = FakeHub(ports=2)
    port = chosen(tree, hub, Kernel(tree, frozenset({here})), here)
    assert port.backend == "sysfs"
    run(port.switch(on=False))
    disable = tree.root / "devices/pci0000:00/0000:00:01.0/usb1/1-0:1.0/usb1-port2/disable"
    assert disable.read_text() == "1\n"
    assert run(port.powered()) is False
    run(port.switch(on=True))
    assert disable.read_text() == "0\n"
    assert hub.switched == []


def test_a_superspeed_hub(tree: Tree) -> None:
    hub = FakeHub(ports=2, superspeed=True)
    port = chosen(tree, hub, Kernel(tree, frozenset()), Location("2-1"))
    assert run(port.powered()) is True


@pytest.mark.parametrize(
    ("hub", "location", "reason"),
    [
        (FakeHub(characteristics=2), HERE, "cannot switch the power of its ports; unplug 1-1.2 by hand"),
        (FakeHub(ports=1), HERE, "hub 1-1 has 1 ports, so there is no 1-1.2"),
        (FakeHub(error=HostError("no permission; add a udev rule")), HERE, "hub 1-1: no permission; add"),
        (FakeHub(ports=0), HERE, "a hub cannot have 0 ports"),
    ],
)
def test_no_switch(tree: Tree, hub: FakeHub, location: Location, reason: str) -> None:
    port = chosen(tree, hub, location=location)
    assert port.backend == "none"
    assert port.affects() == frozenset()
    assert run(port.powered()) is None
    run(port.switch(on=True))
    assert reason in refused(lambda: port.switch(on=False))
    assert hub.switched == []
