"""A made machine for `terrible hubs`: a sysfs tree, hubs that answer, and what sits on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from terrible.cli.hubsurvey import HubView, Survey
from terrible.config import Config
from terrible.errors import HostError, PowerError
from terrible.model import Location, Slot, Stage
from terrible.seams import Device, HubPort, Link
from terrible.state import State
from terrible.usb.identify import Descriptors
from tests.power.fakehub import FakeHub
from tests.power.tree import Tree

LIT, CONNECTED, OVER = 0x0100, 0x0001, 0x0008


@dataclass
class Present:
    """A device as the bus knows it."""

    location: Location
    stage: Stage
    descriptors: Descriptors = field(default_factory=lambda: Descriptors(0, 0, 0, 0, 0, 0, ()))
    gone: bool = False

    async def left(self) -> None:
        raise AssertionError("nobody waits for it")

    def open(self) -> AbstractAsyncContextManager[Link]:
        raise AssertionError("nobody opens it")


@dataclass
class Switch:
    """A port's switch that only says what it is."""

    backend: str = "hub"
    why: str = "its hub can"
    together: frozenset[Location] = frozenset()
    lit: bool | None = True

    def affects(self) -> frozenset[Location]:
        return self.together

    async def switch(self, on: bool) -> None:
        raise PowerError("nobody switches it")

    async def powered(self) -> bool | None:
        return self.lit


class Head:
    """Bus, hubs and power of a machine whose hub 1-1 has a ROM, an empty port, a node and a keyboard."""

    def __init__(self, root: Path) -> None:
        self.tree = Tree(root)
        self.hub = FakeHub(status={1: LIT | CONNECTED, 2: 0, 3: LIT | OVER, 4: LIT})
        self.switches: dict[Location, Switch] = {}
        self.devices = [
            self._plug("1-1", Stage.OTHER, "0409", "55aa", "QEMU USB Hub"),
            self._plug("1-1.1", Stage.ROM, "0a5c", "2763", "BCM2708 Boot"),
            self._plug("1-1.3", Stage.GADGET, "0525", "a4a2", "RNDIS\x1b[2J"),
            self._plug("1-1.4", Stage.OTHER, "046d", "c31c", "Keyboard"),
        ]

    def _plug(self, name: str, stage: Stage, vendor: str, product: str, text: str) -> Present:
        if name != "1-1":
            self.tree.plug(name, devnum=9)
        link = self.tree.root / "bus/usb/devices" / name
        for attribute, value in (("idVendor", vendor), ("idProduct", product), ("product", text)):
            (link / attribute).write_text(f"{value}\n")
        return Present(Location(name), stage)

    def counted(self, location: str, times: int) -> None:
        """The kernel has counted over-currents on this port."""
        self.tree.disable(location).with_name("over_current_count").write_text(f"{times}\n")

    # -- the seams ----------------------------------------------------------------------------------

    def present(self) -> Collection[Device]:
        return list(self.devices)

    async def arrivals(self) -> AsyncIterator[Device]:
        raise AssertionError("nobody listens")
        yield

    async def port(self, location: Location) -> HubPort:
        return self.switches.get(location) or Switch(together=frozenset({location}))

    async def hub_control(
        self,
        hub: str,
        request_type: int,
        request: int,
        value: int,
        index: int,
        data_or_length: bytes | int,
        limit: float,
    ) -> bytes:
        if hub != "1-1" and self.hub.error is None:
            return await FakeHub(ports=2, characteristics=2).hub_control(
                hub, request_type, request, value, index, data_or_length, limit
            )
        return await self.hub.hub_control(hub, request_type, request, value, index, data_or_length, limit)

    # -- for tests ----------------------------------------------------------------------------------

    def forbid(self) -> None:
        """Nobody may open hubs."""
        self.hub.error = HostError("no permission to open the hub")

    def survey(self, state: State | None = None) -> list[HubView]:
        survey = Survey(self, self, self, slots(), state or State(None), self.tree.root)
        return asyncio.run(survey.hubs())


def slots() -> list[Slot]:
    """Slots at ports 1 to 4 of hub 1-1."""
    return Config(hub="1-1", ports=4).named_slots()
