"""The node network on a real kernel: interfaces by their port, whatever udev calls them; nodes that hang."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from terrible.sim.pi import Pi
from tests.mqtt.brokers import Mosquitto

from .agent import BRISK, NODES, agent, four
from .conftest import Rig
from .gadget import network
from .guest import flood as guest
from .node import nodes
from .test_rig import DEVICES
from .userland.digest import PORT

pytestmark = [pytest.mark.rig, pytest.mark.usefixtures("namespaces", "taken_down")]

BRIDGE = "/sys/class/net/terrible0"
TAKE_DOWN = "python3 -c 'from terrible.cli import net; net.down(None)'"
WATCHED = """slots = [
    { name = "node1", location = "1-1.1" },
    { name = "node2", location = "1-1.2", watchdog = true },
]"""


@pytest.fixture
def taken_down(rig: Rig) -> Iterator[None]:
    """What a test that fails leaves of its network is no other test's."""
    yield
    rig.run(rig.head.run(["sh", "-c", f"if test -e {BRIDGE}; then {TAKE_DOWN}; fi"]))


def test_four_cold_nodes_are_up_at_the_addresses_of_their_slots(
    rig: Rig, files: dict[str, str], broker: Mosquitto
) -> None:
    async def story() -> None:
        await rig.head.run(["uhubctl", "-l", "1-1", "-a", "off"])
        async with nodes(rig.hub, 1, 2, 3, 4) as boots, odd_names(rig) as names:
            four(rig)
            async with agent(rig, broker, network=True) as (process, ear):
                await ear.until_phase("up", *NODES)
                for port in (1, 2, 3, 4):
                    assert ear.last[f"node/node{port}/state"]["addresses"] == [f"10.42.0.1{port}"]
                    assert [(await node.bound())["ip"] for node in boots[port]] == [f"10.42.0.1{port}"]
                assert {port: await interface(rig, port) for port in names} == names
                assert await flood(rig, "node4") == hashlib.sha256(b"".join(guest.pieces())).hexdigest()
                await process.signal(signal.SIGTERM)
                assert await process.wait(20) == 0
                assert await traces(rig) == ""

    rig.run(story())


def test_a_node_that_hangs_is_lost_and_cycled_where_its_watchdog_is_on(
    rig: Rig, files: dict[str, str], broker: Mosquitto
) -> None:
    async def story() -> None:
        cuts: list[int] = []
        pis = {port: Pi(timing=BRISK) for port in (1, 2)}
        async with nodes(rig.hub, 2) as boots:  # node1 has a fixed address, and asks nobody for it
            for port, pi in pis.items():
                rig.hub.insert(port, pi)
            async with agent(rig, broker, slots=WATCHED, network=True) as (process, ear):
                await ear.until_phase("up", "node1", "node2")
                rig.head.watch_power(lambda port, on: None if on else cuts.append(port))
                for pi in pis.values():
                    pi.tell("hang")
                await ear.until(lambda: all("lost" in ear.phases[name] for name in ("node1", "node2")))
                await ear.until_phase("up", "node2")
                assert (cuts, len(boots[2]), ear.phase("node1")) == ([2], 2, "lost")
                pis[1].tell("recover")
                await ear.until_phase("up", "node1")
                assert cuts == [2]
                await process.signal(signal.SIGTERM)
                assert await process.wait(20) == 0

    rig.run(story())


@asynccontextmanager
async def odd_names(rig: Rig) -> AsyncIterator[dict[int, str]]:
    """What udev is told to call the interfaces of some ports; the others get one of its usual names."""
    names = {2: "wlan7", 3: "eth9"}
    for port, name in names.items():
        link = f"[Match]\nMACAddress={network(port).host_mac.hex(':')}\n[Link]\nName={name}\n"
        await rig.head.put(f"/run/systemd/network/10-{name}.link", link.encode())
    await rig.head.run(["udevadm", "control", "--reload"])
    try:
        yield names
    finally:
        await rig.head.run(["rm", "-r", "/run/systemd/network"])
        await rig.head.run(["udevadm", "control", "--reload"])


async def interface(rig: Rig, port: int) -> str:
    return (await rig.head.run(["ls", f"{DEVICES}/1-1.{port}:1.0/net"])).text.strip()


async def flood(rig: Rig, host: str) -> str:
    """Send a hundred megabytes from the head; the hash of what has arrived."""
    said = await rig.head.run(["python3", "-c", Path(guest.__file__).read_text(), host, str(PORT)])
    print("MB/s, digest:", said.text)
    return said.text.split()[0]


async def traces(rig: Rig) -> str:
    """What there is of a network of ours: nothing, once it has been taken down."""
    found = [(await rig.head.run(["nft", "list", "ruleset"])).text]
    found.append((await rig.head.run(["ip", "-br", "link", "show", "type", "bridge"])).text)
    found.append((await rig.head.run(["pidof", "dnsmasq"], check=False)).text)
    return "".join(found)
