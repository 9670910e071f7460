"""The laboratory: a head, four nodes that come and go at its USB ports, and the internet."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from terrible.net import addresses

from .internet import ADDRESS, Internet
from .node import Node
from .space import Space

CLUSTER, HUB, PORTS = "lab", "1-1", 4
_USB = "/sys/bus/usb/devices"
Ids = tuple[str, str]
"""Vendor and product, as sysfs writes them."""
GADGET: Ids = ("0525", "a4a2")
"""Those of `g_ether`."""


def location(slot: int) -> str:
    return f"{HUB}.{slot}"


def address(slot: int) -> str:
    return addresses.address("10.42.0.1/24", slot)


@dataclass
class Plugged:
    """A node below this USB interface; `name` is what the head calls its end now."""

    node: Node
    usb: str
    name: str


@dataclass
class Lab:
    """Everything there is. What is plugged is known by its node."""

    directory: Path
    head: Space
    internet: Internet
    nodes: list[Node]
    rng: random.Random
    plugged: dict[str, Plugged] = field(default_factory=dict)

    def plug(self, node: Node, slot: int, **how: str) -> Plugged:
        """Into a slot, with the addresses that a node there gets by its boot files."""
        ends = {"mac": addresses.mac(CLUSTER, slot), "host_mac": addresses.host_mac(CLUSTER, slot)}
        return self.plug_at(node, location(slot), GADGET, **{**ends, **how})

    def plug_at(self, node: Node, where: str, ids: Ids, **how: str) -> Plugged:
        """Into any port. As in the kernel the interface is in sysfs before anybody is told of it."""
        assert node.label not in self.plugged
        mac, host_mac = (how.get(end) or self._random_mac() for end in ("mac", "host_mac"))
        name = how.get("name") or self._free_name(host_mac)
        usb = f"{where}:{self.rng.choice(('1.0', '1.1', '2.0'))}"
        self._shows(where, ids)
        self._appears(usb, name)
        far_end = f"peer name usb0 address {mac} netns {node.pid}"
        self.head.ip(*f"link add {name} address {host_mac} type veth {far_end}".split())
        node.ip("link", "set", "usb0", "up")
        self.plugged[node.label] = Plugged(node, usb, name)
        return self.plugged[node.label]

    def unplug(self, node: Node) -> None:
        there = self.plugged.pop(node.label)
        self.head.ip("link", "delete", there.name)
        shutil.rmtree(self.head.file(f"{_USB}/{there.usb}"))
        shutil.rmtree(self.head.file(f"{_USB}/{there.usb.partition(':')[0]}"))

    def rename(self, node: Node, name: str) -> None:
        """As udev does soon after an interface has appeared."""
        there = self.plugged[node.label]
        self._appears(there.usb, name)
        self.head.ip("link", "set", there.name, "name", name)
        self.head.file(f"{_USB}/{there.usb}/net/{there.name}").unlink()
        there.name = name

    def bridged(self, bridge: str = "terrible0") -> set[str]:
        """The names of the interfaces that are on the bridge."""
        links = self.head.file("/sys/class/net") / bridge / "brif"
        return {path.name for path in links.iterdir()} if links.exists() else set()

    def _shows(self, where: str, ids: Ids) -> None:
        """The device at a port has this vendor and product."""
        device = self.head.file(f"{_USB}/{where}")
        device.mkdir(exist_ok=True)
        for name, number in zip(("idVendor", "idProduct"), ids, strict=True):
            (device / name).write_text(f"{number}\n")

    def _appears(self, usb: str, name: str) -> None:
        path = self.head.file(f"{_USB}/{usb}/net")
        path.mkdir(parents=True, exist_ok=True)
        (path / name).symlink_to(f"/sys/class/net/{name}")

    def _random_mac(self) -> str:
        return bytes([0x02, *self.rng.randbytes(5)]).hex(":")

    def _free_name(self, mac: str) -> str:
        """Whatever a distribution might call it."""
        free = [f"{kind}{n}" for kind in ("usb", "eth") for n in range(8)] + [f"enx{mac.replace(':', '')}"]
        taken = {there.name for there in self.plugged.values()}
        return self.rng.choice([name for name in free if name not in taken])


@contextmanager
def running(directory: Path, nodes: int = PORTS) -> Iterator[Lab]:
    """A laboratory with nothing plugged in; nothing of it is left afterwards."""
    rng = random.Random(seed := random.randrange(1 << 32))
    print(f"names and addresses by chance: random.Random({seed})")
    with ExitStack() as stack:
        head = stack.enter_context(closing(Space("head", ADDRESS)))
        internet = stack.enter_context(closing(Internet(head)))
        made = [stack.enter_context(closing(Node(directory, f"node{n}"))) for n in range(1, nodes + 1)]
        internet.start()
        head.file("/run/terrible").mkdir()  # the agent's, whether or not there is one
        yield Lab(directory, head, internet, made, rng)
