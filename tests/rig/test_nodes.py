"""The rig's nodes work without the agent: a real DHCP client and server behind an emulated gadget."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .conftest import Rig
from .gadget import network
from .node import nodes
from .test_rig import DEVICES, Gadget, switch
from .userland.digest import PORT

pytestmark = [pytest.mark.rig, pytest.mark.usefixtures("namespaces")]

RULES = b"""
table inet byhand {
    chain nat { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }
    chain forward { type filter hook forward priority filter; ct state established accept; }
}
table bridge byhand {
    chain guard { type filter hook prerouting priority 0; meta ibrname byhand udp sport 67 drop; }
}
"""
UP = [
    ["ip", "link", "add", "byhand", "type", "bridge", "stp_state", "0", "forward_delay", "0"],
    ["ip", "address", "add", "10.42.0.1/24", "dev", "byhand"],
    ["ip", "link", "set", "byhand", "up"],
    ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
]
DOWN = [
    ["nft", "flush", "ruleset"],
    ["ip", "link", "delete", "byhand"],
    ["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"],
]
DNSMASQ = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-"]
DNSMASQ += ["--user=dnsmasq", "--interface=byhand", "--bind-interfaces"]
DNSMASQ += ["--dhcp-authoritative", "--dhcp-range=10.42.0.0,static"]


def test_a_node_gets_its_lease_serves_and_reaches_the_uplink(rig: Rig) -> None:
    async def story() -> None:
        async with nodes(rig.hub, 2) as boots, network_by_hand(rig):
            rig.hub.insert(2, awake())
            await join(rig, 2)
            lease = await boots[2][0].bound()
            assert (lease["ip"], lease["router"], lease["hostname"]) == ("10.42.0.12", "10.42.0.1", "two")
            digest = await rig.head.run(["nc", "10.42.0.12", str(PORT)], stdin=b"hello")
            assert digest.text.strip() == hashlib.sha256(b"hello").hexdigest()
            assert network(2).device_mac.hex(":") in (await rig.head.run(["ip", "neigh"])).text
            async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                assert await boots[2][0].run("busybox", "nc", "10.0.2.2", str(port)) == "hello\n"

    rig.run(story())


def test_a_power_cut_ends_a_node_and_the_next_boot_is_a_new_one(rig: Rig) -> None:
    async def story() -> None:
        async with nodes(rig.hub, 1) as boots:
            rig.hub.insert(1, awake())
            await rig.head.until(f"ls {DEVICES}/1-1.1:1.0/net/*")
            await switch(rig, 1, "off")
            await asyncio.wait([boots[1][0].life])
            await switch(rig, 1, "on")
            await rig.head.until(f"ls {DEVICES}/1-1.1:1.0/net/*")
            assert [node.life.done() for node in boots[1]] == [True, False]

    rig.run(story())


def awake() -> Gadget:
    gadget = Gadget()
    gadget.orders.put_nowait(True)
    return gadget


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\n")
    writer.close()


async def join(rig: Rig, port: int) -> None:
    """Put the interface of a port on the bridge, once udev is done with its name."""
    interface = f"{DEVICES}/1-1.{port}:1.0/net"
    await rig.head.until(f"ls {interface}/* && udevadm settle")
    name = (await rig.head.run(["ls", interface])).text.strip()
    await rig.head.run(["ip", "link", "set", name, "master", "byhand", "up"])


@asynccontextmanager
async def network_by_hand(rig: Rig) -> AsyncIterator[None]:
    """Bridge, masquerading and leases as the agent has them, in seven commands."""
    for command in UP:
        await rig.head.run(command)
    await rig.head.run(["nft", "-f", "-"], stdin=RULES)
    try:
        hosts = [f"--dhcp-host={network(2).device_mac.hex(':')},{network(2).address},two"]
        async with rig.head.spawn([*DNSMASQ, *hosts]):
            yield
    finally:
        for command in DOWN:
            await rig.head.run(command)
