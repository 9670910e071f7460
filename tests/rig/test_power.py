"""Port power on a real hub and a real kernel, by both ways of switching it, while other nodes transfer."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial

import pytest

from terrible.sim.pi import ORDER, Pi
from tests.mqtt.brokers import Mosquitto

from . import agent as agents
from .agent import BRISK, NODES, Ear, agent, four
from .conftest import Rig
from .gadget import network
from .peer import Peer
from .remote import Process
from .test_agent_faults import states
from .test_rig import DEVICES

pytestmark = pytest.mark.rig

PORTS = (1, 2, 3, 4)
MORE = tuple(f"more{number}.img" for number in range(40))
"""So many further files that the others are still being served when a port is cut and given back."""
RESET = """
import signal, usb1
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
context = usb1.USBContext().open()
(device,) = [d for d in context.getDeviceIterator() if d.getPortNumberList() == [1, 2]]
handle = device.open()
print("open", flush=True)
signal.sigwait({signal.SIGUSR1})
try:
    handle.resetDevice()
except usb1.USBError as error:
    print("reset:", error, flush=True)
"""
"""What makes the kernel look at a port: it resets the device, finds none, and switches the port on again."""


@pytest.fixture(params=["sysfs", "hub"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The agent of this test switches ports this way, and no other."""
    configure(monkeypatch, request.param)
    return str(request.param)


def configure(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setattr(agents, "CONFIG", f'{agents.CONFIG}\n[power]\nbackend = "{backend}"\n')


class Switches:
    """Every change of power that the hub saw, and who was being served then."""

    def __init__(self, rig: Rig) -> None:
        self.seen: list[tuple[int, bool]] = []
        self.served_meanwhile: set[int] = set()
        self._rig = rig
        rig.head.watch_power(self._switched)
        self.seen.clear()  # what was on already

    def stop(self) -> None:
        self._rig.head.unwatch_power(self._switched)

    def _switched(self, port: int, on: bool) -> None:
        self.seen.append((port, on))
        pis = self._rig.hub.pis.items()
        self.served_meanwhile = {
            other for other, pi in pis if isinstance(pi, Pi) and pi.read and not pi.running
        }


def correct(pi: Pi, files: dict[str, str]) -> bool:
    """Whether it got everything that there is, every byte of it right."""
    files = dict.fromkeys(MORE, files["kernel.img"]) | files
    wanted = {name: files[name] for name in pi.order if name in files}
    return wanted.items() <= pi.read.items()


def outcomes(ear: Ear, without: str) -> list[str]:
    return [boot["outcome"] for boot in ear.boots if boot["slot"] != without]


async def wish(ear: Ear, name: str, word: str, phase: str) -> None:
    await ear.say(f"node/{name}/power/set", word)
    await ear.until_phase(phase, name, limit=60)


BOTH_WAYS = [(backend, port) for port in PORTS for backend in ("sysfs", "hub")]
ONCE_EACH_WAY = [("sysfs", 2), ("hub", 3)]


@pytest.mark.parametrize(
    ("backend", "port"), BOTH_WAYS if os.environ.get("LONG") == "1" else ONCE_EACH_WAY, indirect=["backend"]
)
def test_a_port_is_cut_and_given_back_while_the_others_transfer(
    rig: Rig, files: dict[str, str], broker: Mosquitto, backend: str, port: int
) -> None:
    name, others = f"node{port}", [at for at in PORTS if at != port]

    async def story() -> None:
        for more in MORE:
            await rig.head.run(["ln", "-f", "/boot-files/kernel.img", f"/boot-files/{more}"])
        async with agent(rig, broker) as (_, ear):
            await ear.until(lambda: "info" in ear.last and len(ear.last["info"]["power"]) == 4)
            assert set(ear.last["info"]["power"].values()) == {backend}
            pis = {at: Pi(timing=BRISK, order=(*ORDER, *MORE)) for at in PORTS}
            for at, pi in pis.items():
                rig.hub.insert(at, pi)
            await ear.until(lambda: all("start.elf" in pi.read for pi in pis.values()))
            switches = Switches(rig)
            await wish(ear, name, "off", "off")
            assert switches.seen == [(port, False)]
            assert switches.served_meanwhile >= set(others), "they were still being served at the cut"
            assert (await states(rig))[name] is False
            await wish(ear, name, "on", "up")
            await ear.until_phase("up", *NODES)
            switches.stop()
            assert switches.seen == [(port, False), (port, True)]
            assert all(correct(pi, files) for pi in pis.values())
            await ear.until(lambda: len(outcomes(ear, name)) >= 3)
            assert outcomes(ear, name) == ["up"] * 3, "one attempt each, as if nothing had happened"

    rig.run(story(), limit=180)


def test_a_port_that_the_kernel_switches_on_again_is_off_in_the_end(
    rig: Rig, files: dict[str, str], broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, "hub")

    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (_, ear):
            await ear.until_phase("up", *NODES)
            switches = Switches(rig)
            async with rig.head.spawn(["python3", "-c", RESET]) as process:
                await process.expect("open")
                resetting = asyncio.create_task(reset_when_dark(rig, process))
                await wish(ear, "node2", "off", "off")
                await resetting
            assert switches.seen == [(2, False), (2, True), (2, False)], (
                "off, by the kernel on, and off again"
            )
            assert (await states(rig))["node2"] is False
            await wish(ear, "node2", "on", "up")
            switches.stop()
            assert not [boot for boot in ear.boots if boot["outcome"] == "failed"]

    rig.run(story())


def test_the_hub_is_pulled_and_put_back_with_four_nodes_on_it(
    rig: Rig, files: dict[str, str], broker: Mosquitto
) -> None:
    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (_, ear):
            await ear.until_phase("up", *NODES)
            await pull_hub(rig)
            await ear.until(lambda: all(ear.phase(node) != "up" for node in NODES))
            await put_hub_back(rig)
            pis = four(rig)
            await ear.until_phase("up", *NODES)
            assert all(correct(pi, files) for pi in pis)
            await wish(ear, "node3", "off", "off")  # its new self is switched too
            assert (await states(rig)) == {node: node != "node3" for node in NODES}
            await wish(ear, "node3", "on", "up")

    rig.run(story(), limit=180)


def test_nodes_that_waited_for_an_agent_are_served_without_a_cut(
    rig: Rig, files: dict[str, str], broker: Mosquitto, backend: str
) -> None:
    async def story() -> None:
        pis = four(rig)
        for port in PORTS:
            await rig.head.until(f"grep -q 2763 {DEVICES}/1-1.{port}/idProduct")
        switches = Switches(rig)
        async with agent(rig, broker) as (_, ear):
            await ear.until_phase("up", *NODES)
            await ear.until(lambda: len(ear.boots) >= 4)  # a transcript is told after its phase
            assert all(correct(pi, files) for pi in pis)
            assert [boot["outcome"] for boot in ear.boots] == ["up"] * 4
        switches.stop()
        assert switches.seen == []

    rig.run(story())


async def reset_when_dark(rig: Rig, process: Process) -> None:
    dark = asyncio.Event()

    def switched(port: int, on: bool) -> None:
        if not on:
            dark.set()

    rig.head.watch_power(switched)
    await dark.wait()
    rig.head.unwatch_power(switched)
    await process.signal(signal.SIGUSR1)


async def pull_hub(rig: Rig) -> None:
    """With the hub go the devices on it, in QEMU as on a desk; and the Pis lose their power."""
    for port in PORTS:
        rig.hub.remove(port)
    await rig.head.qmp("device_del", id="hub")
    await rig.head.until(f"! test -e {DEVICES}/1-1")


async def put_hub_back(rig: Rig) -> None:
    hub = {"driver": "usb-hub", "id": "hub", "bus": "xhci.0", "port": "1", "ports": 4, "port_power": True}
    await rig.head.qmp("device_add", **hub)
    for port in PORTS:
        address = {"type": "unix", "data": {"path": str(rig.head.socket(port))}}
        socket = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
        await rig.head.qmp("chardev-add", id=f"pi{port}", backend=socket)
        redirected = {"driver": "usb-redir", "id": f"pi{port}", "chardev": f"pi{port}"}
        await rig.head.qmp("device_add", **redirected, bus="xhci.0", port=f"1.{port}")
        rig.hub.peers[port] = Peer(network(port), partial(rig.hub._awake.__contains__, port))
        await rig.hub.peers[port].connect(rig.head.socket(port))
    await rig.head.until(f"test -e {DEVICES}/1-1")
