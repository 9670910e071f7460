"""A gadget's link: the addresses of its two ends, and what runs at the node's end of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from terrible.net import addresses

from .tinyhost import TinyHost

CLUSTER, SUBNET = "rig", "10.42.0.1/24"


class Userland(Protocol):
    """What runs behind a gadget from its arrival until it leaves the bus."""

    def receive(self, frame: bytes) -> None:
        """Take a frame from the head."""

    async def send(self) -> bytes:
        """The next frame for the head; of several who wait for one, the first gets it."""

    def close(self) -> None:
        """The gadget has left."""


@dataclass(frozen=True)
class GadgetNetwork:
    """Both ends of a gadget's link: the MAC the guest's interface gets, and the Pi's MAC and address."""

    host_mac: bytes
    device_mac: bytes
    address: IPv4Address


def network(port: int) -> GadgetNetwork:
    """The link of slot `port` of the cluster `rig`, as the agent has a node's cmdline.txt say it."""
    host, device = addresses.host_mac(CLUSTER, port), addresses.mac(CLUSTER, port)
    return GadgetNetwork(as_bytes(host), as_bytes(device), IPv4Address(addresses.address(SUBNET, port)))


def as_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


class Tiny:
    """A node with a fixed address that answers ARP and ping, and runs nothing else."""

    def __init__(self, network: GadgetNetwork) -> None:
        self._host = TinyHost(network.device_mac, network.address)
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()

    def receive(self, frame: bytes) -> None:
        if answer := self._host.receive(frame):
            self._answers.put_nowait(answer)

    async def send(self) -> bytes:
        return await self._answers.get()

    def close(self) -> None:
        pass
