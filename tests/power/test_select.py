"""Which switch a location gets, and the kernel's own switch over a made tree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from terrible.model import HostError, Location, PowerError, Stage
from terrible.policy import Neighbour, hurt
from terrible.power.client import PortHelper
from terrible.power.hub import HubControl
from terrible.power.select import BestPower
from terrible.power.topology import Topology, ports_of
from terrible.seams import HubPort, Power

from .clock import run
from .fakehub import FakeHub, Hubs
from .test_boards import SOCKETS_5, pi4, pi5
from .tree import Tree

HERE = Location("1-1.2")
ALL = ports_of("1-1", 4)


class Kernel(PortHelper):
    """What helper and kernel do together: disabling a port removes its device, unless the hub lies."""

    def __init__(self, tree: Tree, serves: frozenset[Location] = ALL) -> None:
        super().__init__(Path("/nowhere"))
        self.tree = tree
        self.serves = serves
        self.lies = False
        self.lingers = False

    async def disable(self, location: Location, value: bool) -> bool:
        await self.disabled(location)
        if not self.lies:
            self.tree.disable(location).write_text(f"{int(value)}\n")
        if value and not self.lingers and location in Topology(self.tree.root).occupied(location.hub):
            self.tree.unplug(location)
        return await self.disabled(location)

    async def disabled(self, location: Location) -> bool:
        if location not in self.serves:
            raise PowerError("not configured")
        return self.tree.disable(location).read_text() == "1\n"


def chosen(
    tree: Tree, hub: HubControl, kernel: Kernel | None = None, location: Location = HERE, **how: Any
) -> HubPort:
    power: Power = BestPower(Topology(tree.root), kernel or Kernel(tree), hub, **how)
    return run(power.port(location))


def refused(doing: Callable[[], Awaitable[None]]) -> str:
    async def story() -> str:
        with pytest.raises(PowerError) as caught:
            await doing()
        return str(caught.value)

    return run(story())


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


# -- both sides of a socket ---------------------------------------------------------------------------


def two_sided(tree: Tree) -> Hubs:
    """Root ports 1-2 and 2-2 are one socket."""
    tree.peers("1-2", "2-2")
    return Hubs({"usb1": FakeHub(ports=2), "usb2": FakeHub(ports=2, superspeed=True)})


SOCKET = frozenset({Location("1-2"), Location("2-2")})


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


# -- why ----------------------------------------------------------------------------------------------


def test_why_by_the_kernel(tree: Tree) -> None:
    assert chosen(tree, FakeHub()).why == (
        "the kernel's disable attribute (per-port switching), which tells every driver and keeps the port off"
    )


def test_why_by_class_requests(tree: Tree, tmp_path: Path) -> None:
    nobody = tmp_path / "port.sock"
    power = BestPower(Topology(tree.root), PortHelper(nobody), FakeHub())
    assert run(power.port(HERE)).why == (
        "class requests to hub 1-1 (per-port switching); not the kernel's disable attribute: "
        f"no answer from the helper at {nobody}: [Errno 2] No such file or directory"
    )
    tree.disable(HERE).unlink()
    assert chosen(tree, FakeHub(characteristics=0)).why == (
        "class requests to hub 1-1 (ganged switching, all 4 ports together); not the kernel's disable "
        "attribute: this kernel has none for 1-1.2, Linux 6.0 and later have"
    )


def test_why_names_the_other_side(tree: Tree) -> None:
    port = chosen(tree, two_sided(tree), Kernel(tree, SOCKET), Location("1-2"))
    assert "(per-port switching, with the other side of a USB 3 hub, 2-2)" in port.why


# -- what people and probes say about it --------------------------------------------------------------


def test_a_configuration_may_ask_for_class_requests(tree: Tree) -> None:
    port = chosen(tree, FakeHub(), only="hub")
    assert port.backend == "hub"
    assert port.why == (
        "class requests to hub 1-1 (per-port switching); "
        "not the kernel's disable attribute: the configuration asks for class requests"
    )


def test_a_configuration_may_ask_for_the_kernel(tree: Tree) -> None:
    assert chosen(tree, FakeHub(), only="sysfs").backend == "sysfs"
    port = chosen(tree, FakeHub(), Kernel(tree, frozenset()), only="sysfs")
    assert port.backend == "none"
    assert port.why == (
        "the power of 1-1.2 cannot be switched; not the kernel's disable attribute: not configured; "
        "not class requests: the configuration asks for the kernel's disable attribute"
    )
    assert refused(lambda: port.switch(on=False)) == port.why


def test_a_configuration_may_not_ask_for_anything_else(tree: Tree) -> None:
    with pytest.raises(ValueError, match="only is one of sysfs, hub, not gpio"):
        chosen(tree, FakeHub(), only="gpio")


NOON = 1_700_000_000
"""2023-11-14, in any time zone that a test may run in, or the day after."""


def probed(backend: str, works: bool, **more: Any) -> dict[str, Any]:
    return {"backend": backend, "works": works, "when": NOON} | more


def test_what_a_probe_saw_fail_is_not_taken(tree: Tree) -> None:
    said = "It does not work: the hub never reported the port without power."
    verdicts = {HERE: probed("sysfs", False, sentence=said)}
    port = chosen(tree, FakeHub(), verdict=verdicts.get)
    assert port.backend == "hub"
    assert "not the kernel's disable attribute: a probe on 2023-11-1" in port.why
    assert port.why.endswith("showed that it does not work: the hub never reported the port without power")


def test_nothing_is_left_when_a_probe_saw_the_last_one_fail(tree: Tree) -> None:
    tree.disable(HERE).unlink()
    hub = FakeHub()
    port = chosen(tree, hub, verdict=lambda _: probed("hub", False))
    assert port.backend == "none"
    assert "not class requests: a probe on 2023-11-1" in port.why
    assert "showed that it does not work" in refused(lambda: port.switch(on=False))
    assert hub.switched == []


@pytest.mark.parametrize(
    "verdict", [probed("sysfs", True), probed("gpio", False), {"backend": "sysfs", "works": False}, {}, None]
)
def test_other_verdicts_change_nothing(tree: Tree, verdict: dict[str, Any] | None) -> None:
    assert chosen(tree, FakeHub(), verdict=lambda _: verdict).backend == "sysfs"


def test_a_new_verdict_is_heard_at_once(tree: Tree) -> None:
    verdicts: dict[Location, dict[str, Any]] = {}
    power = BestPower(Topology(tree.root), Kernel(tree), FakeHub(), verdict=verdicts.get)
    assert run(power.port(HERE)).backend == "sysfs"
    verdicts[HERE] = probed("sysfs", False)
    assert run(power.port(HERE)).backend == "hub"
    verdicts[HERE] = probed("sysfs", True)
    assert run(power.port(HERE)).backend == "sysfs"
