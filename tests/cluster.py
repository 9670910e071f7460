"""A whole agent over a simulated cluster, for tests in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.limits import Limits
from terrible.model import Answer, Info, Location, Phase, Report, Request, Slot, Transcript
from terrible.net import addresses
from terrible.seams import News
from terrible.sim.alarms import SimAlarms
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.disks import SimDisks
from terrible.sim.files import write_mass_storage
from terrible.sim.pi import Pi
from terrible.sim.prober import SimProber
from terrible.state import State
from terrible.usb.bootfiles import BootFiles
from terrible.usb.layers import Roots

log = logging.getLogger(__name__)

INFO = Info("test", "test", "host", "session", 0.0, ())


@dataclass
class MemoryBroker:
    """A broker that remembers everything it is told, in order."""

    news: list[News] = field(default_factory=list)
    answers: list[tuple[Request, Answer]] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._told = asyncio.Event()

    def tell(self, news: News) -> None:
        self.news.append(news)
        self._told.set()

    def answer(self, request: Request, answer: Answer) -> None:
        self.answers.append((request, answer))
        self._told.set()

    async def requests(self) -> AsyncIterator[Request]:
        while True:
            yield await self._requests.get()

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    # -- for tests ------------------------------------------------------------------------------

    def ask(
        self,
        verb: str,
        slots: str,
        action: str = "",
        force: bool = False,
        number: str | None = "1",
        image: str = "",
    ) -> None:
        self._requests.put_nowait(Request(verb, slots, action, force, number, image))

    async def until(self, true: Callable[[], bool]) -> None:
        """Return once it is true; looked at after every message."""
        while not true():
            self._told.clear()
            await self._told.wait()

    def transcripts(self, slot: str) -> list[Transcript]:
        return [news for news in self.news if isinstance(news, Transcript) and news.slot == slot]

    def reports(self, slot: str) -> list[Report]:
        return [news for news in self.news if isinstance(news, Report) and news.slot.name == slot]

    def phases(self, slot: str) -> list[Phase]:
        """The phases a slot went through, repetitions left out."""
        phases: list[Phase] = []
        for report in self.reports(slot):
            if report.phase not in phases[-1:]:
                phases.append(report.phase)
        return phases

    def last(self, slot: str) -> Report | None:
        return next(reversed(self.reports(slot)), None)


@dataclass
class Rig:
    """An agent that runs, and what it runs on."""

    agent: Agent
    broker: MemoryBroker
    cluster: SimCluster
    slots: list[Slot]
    alarms: SimAlarms
    disks: SimDisks

    def pi(self, number: int) -> Pi:
        return self.cluster.pi(self.slots[number - 1].location)

    def cuts(self, number: int) -> int:
        return self.cluster.ports[self.slots[number - 1].location].cuts

    def phase(self, name: str) -> Phase | None:
        report = self.broker.last(name)
        return report.phase if report else None

    async def until(self, phase: Phase, *names: str) -> float:
        """Wait for all these slots (default all) to be in a phase; returns the virtual time."""
        wanted = names or tuple(slot.name for slot in self.slots)
        await self.broker.until(lambda: all(self.phase(name) is phase for name in wanted))
        return asyncio.get_running_loop().time()


IMAGE = "raspios.img.xz"


def make_slots(locations: Iterable[Location]) -> list[Slot]:
    return [
        Slot(
            f"node{n}",
            n,
            location,
            addresses.mac("test", n),
            addresses.host_mac("test", n),
            addresses.address("10.42.0.1/24", n),
        )
        for n, location in enumerate(locations, start=1)
    ]


def boot_directory(path: Path, kernel: int = 3_000_000) -> Path:
    """A directory with what a Zero boots from."""
    path.mkdir(exist_ok=True)
    sizes = {"bootcode.bin": 52_624, "start.elf": 1_000_000, "fixup.dat": 7_000, "kernel.img": kernel}
    for name, size in (sizes | {"config.txt": 100, "bcm2708-rpi-zero.dtb": 20_000}).items():
        (path / name).write_bytes(name.encode() * (size // len(name)))
    for bootcode in ("bootcode4.bin", "bootcode5.bin"):
        (path / bootcode).write_bytes(b"x" * 70_000)
    (path / "cmdline.txt.template").write_text("host=${name} g_ether.dev_addr=${mac}\n")
    return path


@asynccontextmanager
async def cluster(
    base: Path,
    pis: list[Pi],
    *,
    limits: Limits | None = None,
    ganged: bool = False,
    state: State | None = None,
    sim: SimCluster | None = None,
    watchdog: bool = False,
) -> AsyncIterator[Rig]:
    """An agent over these Pis, each in a port of the hub at 1-1. It stops with the block."""
    sim = sim or SimCluster(plugged(pis), ganged=ganged)
    slots = [replace(slot, watchdog=watchdog) for slot in make_slots(sim.ports)]
    broker = MemoryBroker()
    alarms = SimAlarms()
    firmware = base.parent / "mass-storage"
    if not firmware.exists():
        firmware.mkdir()
        write_mass_storage(firmware)
    files, cards = BootFiles(Roots(base), slots, "test"), BootFiles(Roots(firmware), slots, "test")
    means = Means(files, sim, limits or Limits(), cards)
    disks = SimDisks(sim, {IMAGE: 1_000_000_000})
    world = World(sim.bus, sim, alarms, sim, broker, means, SimProber(sim), disks)
    agent = Agent(world, slots, INFO, state or State(None))
    running = asyncio.create_task(agent.run())
    try:
        yield Rig(agent, broker, sim, slots, alarms, disks)
    finally:
        if not running.done():
            running.cancel()
        await asyncio.wait({running})
        if not running.cancelled() and (error := running.exception()):
            raise error
