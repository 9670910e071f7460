"""What a probe sees: a hub, the kernel's list, a device and its bus, each with the faults of real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

from terrible.errors import PowerError
from terrible.model import Location, Stage
from terrible.power.hub import Hub
from terrible.power.probe import Answers, Probe
from terrible.power.topology import Topology
from terrible.seams import Device, Link
from terrible.usb.identify import Descriptors

from .fakehub import FakeHub
from .tree import Tree

HERE = Location("1-1.2")
NOTICED, RETURN = 0.25, 0.8
"""Seconds until the kernel drops a device, and until a Pi with power shows its ROM."""


@dataclass
class Node:
    """A device as the bus knows it."""

    stage: Stage
    location: Location = HERE
    descriptors: Descriptors = field(default_factory=lambda: Descriptors(0, 0, 0, 0, 0, 0, ()))
    gone: bool = False

    async def left(self) -> None:
        raise AssertionError("nobody waits for it")

    def open(self) -> AbstractAsyncContextManager[Link]:
        raise AssertionError("nobody opens it")


class World(FakeHub):
    """Hub 1-1 with a Pi in port 2: power, 5 V, the kernel's list and the bus, each with its fault."""

    def __init__(self, tree: Tree, stage: Stage | None = Stage.GADGET) -> None:
        super().__init__()
        self.tree = tree
        self.devnum = 8
        self.answers: Answers = self._answers
        self.node: Node | None = None
        self.alive = False
        self.cuts = True  # else only the status bit changes
        self.disconnects = True
        self.lingers = False
        self.comes_back = True
        if stage is not None:
            self._arrive(stage)

    # -- what the probe is given ------------------------------------------------------------------------

    def present(self) -> Collection[Device]:
        return [self.node] if self.node else []

    async def arrivals(self) -> AsyncIterator[Device]:
        raise AssertionError("nobody listens")
        yield

    async def _answers(self, location: Location) -> bool | None:
        assert location == HERE
        await asyncio.sleep(0)
        return self.alive

    def probe(self, port: Port) -> Probe:
        topology = Topology(self.tree.root)
        return Probe(HERE, port, self, topology, self, lambda: nullcontext(self.answers))

    # -- what happens -------------------------------------------------------------------------------------

    def lit(self) -> bool:
        return bool(self.status.get(HERE.port, self.power) & self.power)

    def _switch(self, port: int, on: bool) -> None:
        before = self.lit()
        super()._switch(port, on)
        if self.repowers_after and not on and self.status[port] == 0 and before:
            asyncio.get_running_loop().call_later(self.repowers_after + 0.01, self._power_changed)
        self._power_changed()

    def _power_changed(self) -> None:
        later = asyncio.get_running_loop().call_later
        if not self.lit() and self.node is not None and self.disconnects:
            self.alive = False
            if not self.lingers:
                later(NOTICED, self._leave)
        elif self.lit() and not self.alive and self.comes_back and self.devnum > 8:
            kept = not self.cuts and self.node is None
            later(0.1 if kept else RETURN, self._arrive, Stage.GADGET if kept else Stage.ROM)

    def _leave(self) -> None:
        if not self.alive and self.node is not None:
            self.tree.unplug(HERE)
            self.node = None

    def _arrive(self, stage: Stage) -> None:
        if self.alive:
            return
        self.alive = True
        self._leave_listed()
        self.devnum += 1
        self.tree.plug(HERE, self.devnum)
        self.node = Node(stage)

    def _leave_listed(self) -> None:
        if self.node is not None:
            self.tree.unplug(HERE)


class Port:
    """A switch whose own checks may be told to fail; `off` and `on` count."""

    why = "for this test"

    def __init__(self, world: World, backend: str = "hub") -> None:
        self.backend = backend
        self.world = world
        self.fails_off = ""
        self.fails_on = 0
        self.asked: list[bool] = []

    def affects(self) -> frozenset[Location]:
        return frozenset({HERE})

    async def switch(self, on: bool) -> None:
        self.asked.append(on)
        if on and self.fails_on:
            self.fails_on -= 1
            raise PowerError("no power yet")
        if not on and self.fails_off:
            raise PowerError(self.fails_off)
        await Hub("1-1", False, self.world).set_power(HERE.port, on)

    async def powered(self) -> bool | None:
        return self.world.lit()
