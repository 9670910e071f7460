"""Ports switched by class requests, against hubs that obey, lie, and are switched on again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.errors import BootError, Code, DeviceLeft, HostError, PowerError
from terrible.model import Location
from terrible.power.hub import LINGER, SETTLE, STEP, TRIES, WATCH, Hub, HubClassPort
from terrible.power.hubclass import Switching
from terrible.power.topology import Topology, ports_of

from .clock import run
from .fakehub import POWERED_AND_CONNECTED, FakeHub, Hubs
from .tree import Tree

HERE = Location("1-1.2")
TWIN = Location("2-2.2")


def port(
    hub: FakeHub, together: frozenset[Location] = frozenset({HERE}), sysfs: Path = Path("/nowhere")
) -> HubClassPort:
    asked = Hub("1-1", hub.superspeed, hub)
    return HubClassPort(HERE, dict.fromkeys(together, asked), Topology(sysfs), "")


def two_sided(hub: FakeHub, twin: FakeHub) -> HubClassPort:
    control = Hubs({"1-1": hub, "2-2": twin})
    hubs = {HERE: Hub("1-1", False, control), TWIN: Hub("2-2", True, control)}
    return HubClassPort(HERE, hubs, Topology(Path("/nowhere")), "")


async def timed_off(switch: HubClassPort) -> float:
    """Seconds until it was off."""
    start = asyncio.get_running_loop().time()
    await switch.switch(on=False)
    return asyncio.get_running_loop().time() - start


def test_off_and_on() -> None:
    hub = FakeHub(status={2: POWERED_AND_CONNECTED})
    switch = port(hub)

    async def story() -> None:
        assert await switch.powered() is True
        assert await timed_off(switch) == pytest.approx(WATCH)
        assert await switch.powered() is False
        await switch.switch(on=True)
        assert await switch.powered() is True

    run(story())
    assert hub.switched == [(2, False), (2, True)]
    assert switch.affects() == {HERE}
    assert switch.backend == "hub"


def test_superspeed_hubs_have_another_power_bit() -> None:
    hub = FakeHub(superspeed=True)
    run(port(hub).switch(on=False))
    assert hub.status == {2: 0}


def test_a_gang_goes_together() -> None:
    hub = FakeHub(characteristics=0)
    switch = port(hub, ports_of("1-1", 4))
    run(switch.switch(on=False))
    run(switch.switch(on=True))
    assert hub.switched == [(n, on) for on in (False, True) for n in (1, 2, 3, 4)]
    assert switch.affects() == ports_of("1-1", 4)


def test_both_sides_of_a_socket_go_together() -> None:
    hub, twin = FakeHub(status={2: POWERED_AND_CONNECTED}), FakeHub(superspeed=True)
    switch = two_sided(hub, twin)
    run(switch.switch(on=False))
    assert (hub.status, twin.status) == ({2: 0}, {2: 0})
    run(switch.switch(on=True))
    assert (hub.status, twin.status) == ({2: 0x0100}, {2: 0x0200})
    assert switch.affects() == {HERE, TWIN}


def test_a_side_that_is_switched_on_again_is_repeated_like_the_other() -> None:
    hub, twin = FakeHub(), FakeHub(superspeed=True, repowers=1)
    run(two_sided(hub, twin).switch(on=False))
    assert (hub.status, twin.status) == ({2: 0}, {2: 0})
    assert hub.switched == twin.switched == [(2, False), (2, False)]


@pytest.mark.parametrize("on", [False, True])
def test_a_twin_that_fails_is_named(on: bool) -> None:
    twin = FakeHub(superspeed=True, error=BootError("pipe"))
    with pytest.raises(PowerError, match=r"^2-2\.2, which is switched with 1-1\.2: hub 2-2: pipe$"):
        run(two_sided(FakeHub(), twin).switch(on))


def test_a_twin_that_lies_is_named() -> None:
    with pytest.raises(PowerError, match=r"^2-2\.2 still reports power 1 s after it was switched off$"):
        run(two_sided(FakeHub(), FakeHub(superspeed=True, stuck=0x0200)).switch(on=False))


def test_one_lit_port_of_a_gang_fails_it() -> None:
    hub = FakeHub(characteristics=0, status={3: POWERED_AND_CONNECTED}, stuck=0x0001)
    with pytest.raises(PowerError, match=r"1-1\.3 still reports no power, but a connected device"):
        run(port(hub, ports_of("1-1", 4)).switch(on=False))


@pytest.mark.parametrize(
    ("stuck", "seen"),
    [(0x0100, "still reports power"), (0x0001, "still reports no power, but a connected device")],
)
def test_a_hub_that_lies(stuck: int, seen: str) -> None:
    hub = FakeHub(status={2: POWERED_AND_CONNECTED}, stuck=stuck)

    async def story() -> float:
        start = asyncio.get_running_loop().time()
        with pytest.raises(PowerError, match=seen) as caught:
            await port(hub).switch(on=False)
        assert caught.value.problem.code is Code.POWER_UNSUPPORTED
        return asyncio.get_running_loop().time() - start

    assert run(story()) == pytest.approx(SETTLE)
    assert hub.switched == [(2, False)]


def test_off_is_repeated_while_the_kernel_switches_on() -> None:
    hub = FakeHub(repowers=TRIES - 1)
    assert run(timed_off(port(hub))) == pytest.approx(WATCH + (TRIES - 1) * 0.5, abs=TRIES * STEP)
    assert hub.status == {2: 0}
    assert len(hub.switched) == TRIES


@pytest.mark.parametrize("after", [1.0, 3.0, 5.5, 9.5])
def test_a_kernel_that_takes_its_time(tree: Tree, after: float) -> None:
    """It switches on again as it drops the dead device, and then no more (uhubctl issue 90: 1 to 10 s)."""
    tree.plug(HERE, devnum=9)
    hub = FakeHub(status={2: POWERED_AND_CONNECTED}, repowers=1, repowers_after=after)
    hub.dropped = lambda: tree.unplug(HERE)
    seconds = run(timed_off(port(hub, sysfs=tree.root)))
    assert seconds == pytest.approx(after + WATCH, abs=2 * STEP)
    assert hub.status == {2: 0}
    assert hub.switched == [(2, False)] * 2


def test_a_kernel_that_drops_the_device_and_leaves_the_port_alone(tree: Tree) -> None:
    tree.plug(HERE, devnum=9)
    hub = FakeHub(status={2: POWERED_AND_CONNECTED})

    async def story() -> float:
        asyncio.get_running_loop().call_later(4, tree.unplug, HERE)
        return await timed_off(port(hub, sysfs=tree.root))

    assert run(story()) == pytest.approx(4 + WATCH, abs=2 * STEP)
    assert hub.switched == [(2, False)]


def test_a_device_that_stays_listed_holds_nobody_up_for_ever(tree: Tree) -> None:
    """As behind hubs that do not tell the kernel that a port lost its device."""
    tree.plug(HERE, devnum=9)
    assert run(timed_off(port(FakeHub(), sysfs=tree.root))) == pytest.approx(LINGER + WATCH)


def test_a_kernel_that_insists() -> None:
    hub = FakeHub(repowers=TRIES)
    with pytest.raises(PowerError, match="re-powered by the kernel"):
        run(port(hub).switch(on=False))
    assert len(hub.switched) == TRIES


def test_a_port_that_does_not_come_on() -> None:
    class Dead(FakeHub):
        def _switch(self, port: int, on: bool) -> None:
            self.status[port] = 0

    with pytest.raises(PowerError, match=r"1-1\.2 still reports no power 1 s after it was switched on"):
        run(port(Dead()).switch(on=True))


@pytest.mark.parametrize("error", [BootError("pipe"), DeviceLeft("hub left"), HostError("no permission")])
def test_a_hub_that_does_not_answer(error: Exception) -> None:
    hub = FakeHub(error=error)
    for on in (False, True):
        with pytest.raises(PowerError, match=f"hub 1-1: {error}"):
            run(port(hub).switch(on))
    assert run(port(hub).powered()) is None


def test_a_hub_that_answers_garbage() -> None:
    hub = FakeHub(status={2: 0x0700 | 1}, ports=0)
    assert run(port(hub).powered()) is None
    with pytest.raises(PowerError, match="hub 1-1: a hub cannot have 0 ports"):
        run(Hub("1-1", False, hub).descriptor())


def test_the_container_id_of_a_hub() -> None:
    assert run(Hub("1-1", False, FakeHub(container=bytes(range(16)))).container_id()) == bytes(range(16))
    with pytest.raises(PowerError, match="hub 1-1: the hub stalls"):
        run(Hub("1-1", False, FakeHub()).container_id())


def test_descriptor() -> None:
    assert run(Hub("1-1", False, FakeHub()).descriptor()).switching is Switching.PER_PORT
    assert run(Hub("2-1", True, FakeHub(characteristics=0)).descriptor()).switching is Switching.GANGED
