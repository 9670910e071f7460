"""The promises of recovery, checked from the simulator's side, where nothing can be pretended.

`Watched` is a cluster whose switches tell the watch before they act; the watch knows what people asked
for, what the agent says, and what really is on each port.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from terrible.limits import Limits
from terrible.model import Location, Phase, Report, Slot, Stage
from terrible.seams import HubPort
from terrible.sim.cluster import SimCluster
from terrible.sim.pi import Pi
from terrible.sim.port import SimPort
from tests.chaos.bound import longest

RUNS = {Phase.UP: Stage.GADGET, Phase.LOST: Stage.GADGET, Phase.DISK: Stage.DISK}
"""What a phase says the port shows."""


@dataclass
class WatchedPort:
    """A switch, and who is hurt when it is used."""

    port: SimPort
    watch: Watch

    @property
    def backend(self) -> str:
        return self.port.backend

    @property
    def why(self) -> str:
        return self.port.why

    def affects(self) -> frozenset[Location]:
        return self.port.affects()

    async def powered(self) -> bool | None:
        return await self.port.powered()

    async def switch(self, on: bool) -> None:
        if on:
            await self.port.switch(on)
            return
        self.watch.may_cut(self.port)
        with self.watch.cutting(self.port):
            await self.port.switch(on)


class Watched(SimCluster):
    """A simulated cluster whose every switch is watched."""

    def __init__(self, pis: Mapping[Location, Pi | None], ganged: bool = False) -> None:
        super().__init__(pis, ganged=ganged)
        self.watch = Watch(self.ports)

    async def port(self, location: Location) -> HubPort:
        return WatchedPort(self.ports[location], self.watch)


@dataclass
class Seen:
    """What a slot was seen to be, and since when."""

    report: Report
    shown: Stage | None
    lit: bool
    since: float


@dataclass
class Watch:
    """All ports of a cluster. `wished` says of a location whether a person wants it cut now."""

    ports: Mapping[Location, SimPort]
    wished: Callable[[Location], bool] = lambda _: False
    broken: list[str] = field(default_factory=list)
    _seen: dict[Location, Seen] = field(default_factory=dict)
    _cutting: int = 0
    _affected: frozenset[Location] = frozenset()

    # -- power ------------------------------------------------------------------------------------

    def may_cut(self, port: SimPort) -> None:
        """Nobody who runs loses power, unless somebody wished that very cut."""
        for other in port.gang:
            hurt = other.lit and other.pi is not None and other.pi.running
            if hurt and not self.wished(other.location) and not self.wished(port.location):
                self.broken.append(f"{other.location} runs, and lost power without a wish")

    @contextmanager
    def cutting(self, port: SimPort) -> Iterator[None]:
        """Whatever loses power meanwhile is what this switch, or another that is under way, owns up to."""
        before = {other.location: other.cuts for other in self.ports.values()}
        self._affected = self._affected | port.affects() if self._cutting else port.affects()
        self._cutting += 1
        yield
        cut = {location for location, cuts in before.items() if self.ports[location].cuts > cuts}
        if outside := cut - self._affected:
            self.broken.append(f"cutting {port.location} also cut {sorted(outside)}")
        self._cutting -= 1

    # -- identity ---------------------------------------------------------------------------------

    def identity(self, slots: Iterable[Slot]) -> None:
        """What a Pi has read is what belongs to the port it sits in."""
        for slot in slots:
            port = self.ports[slot.location]
            got = port.pi.read.get("cmdline.txt") if port.pi and port.shown else None
            if got is not None and got != own_cmdline(slot):
                self.broken.append(f"the Pi at {slot.location} read the files of another slot")

    # -- progress ---------------------------------------------------------------------------------

    def progress(self, report: Report, now: float, limits: Limits, messages: int) -> None:
        """A slot is as wished, or says why it is not, or has not been so for longer than limits allow."""
        location = report.slot.location
        port = self.ports[location]
        seen = self._seen.get(location)
        if seen is None or seen.report is not report or (seen.shown, seen.lit) != (port.shown, port.lit):
            seen = self._seen[location] = Seen(report, port.shown, port.lit, now)
        if rests(report, port) or now == seen.since:
            return
        if now - seen.since > longest(report.phase, limits, len(self.ports), messages):
            self.broken.append(f"{describe(report, port)} for {now - seen.since:.0f} s without a reason")

    def end(self, report: Report) -> None:
        """After the last trouble all slots rest."""
        if not rests(report, self.ports[report.slot.location]):
            self.broken.append(f"{describe(report, self.ports[report.slot.location])} at the end")


def rests(report: Report, port: SimPort) -> bool:
    """Whether a slot may be as it is for ever: as wished, or with a reason that people can read.

    Nobody can tell whether an empty port is lit that should be off: there is nothing to arrive.
    """
    if report.problem is not None:
        return True
    if not report.wish:
        return report.phase is Phase.OFF and port.shown is None
    if report.phase in RUNS:
        return port.shown is RUNS[report.phase]
    return report.phase in (Phase.WAITING, Phase.HALTED) and port.lit and port.shown is None


def describe(report: Report, port: SimPort) -> str:
    """A slot as it is told and as it is."""
    power = "lit" if port.lit else "dark"
    wish = "on" if report.wish else "off"
    return f"{report.slot.name} {report.phase}, wish {wish}, port {power} showing {port.shown}"


@functools.cache
def own_cmdline(slot: Slot) -> str:
    """The hash of what `tests.cluster.boot_directory` holds as cmdline.txt for this slot."""
    return hashlib.sha256(f"host={slot.name} g_ether.dev_addr={slot.mac}\n".encode()).hexdigest()
