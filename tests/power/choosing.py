"""The helper and the kernel as `BestPower` meets them, and what it chooses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from terrible.errors import PowerError
from terrible.model import Location
from terrible.power.client import PortHelper
from terrible.power.hub import HubControl
from terrible.power.select import BestPower
from terrible.power.topology import Topology, ports_of
from terrible.seams import HubPort, Power

from .clock import run
from .fakehub import FakeHub, Hubs
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


def two_sided(tree: Tree) -> Hubs:
    """Root ports 1-2 and 2-2 are one socket."""
    tree.peers("1-2", "2-2")
    return Hubs({"usb1": FakeHub(ports=2), "usb2": FakeHub(ports=2, superspeed=True)})


SOCKET = frozenset({Location("1-2"), Location("2-2")})
