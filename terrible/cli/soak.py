"""`terrible soak`: cycles slots over and over through MQTT, and leaves a report of how often they came up."""

from __future__ import annotations

import asyncio
import logging
import platform
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from terrible.cli import broker, demo
from terrible.cli.loop import complain, run
from terrible.cli.target import Where, reached, target
from terrible.errors import HostError, UsageError
from terrible.limits import Limits
from terrible.mqtt.address import BrokerAddress, parse_broker_url
from terrible.remote.heard import Introduction
from terrible.sim.faults import Fault, Kind
from terrible.sim.files import write_boot_files
from terrible.sim.pi import Pi, Timing
from terrible.soak import report
from terrible.soak.client import MqttHead
from terrible.soak.folder import Folder
from terrible.soak.record import Cycle
from terrible.soak.report import About
from terrible.soak.run import Book, Plan, choose, meet, soak


@dataclass(frozen=True, slots=True)
class Simulate:
    """So many simulated Pis instead of a head; each time one boots, `fault` strikes with this chance."""

    nodes: int
    speed: float
    fault: Kind | None
    chance: float

    def __str__(self) -> str:
        fault = f", {self.fault} in {100 * self.chance:g} % of boots" if self.fault else ""
        return f"{self.nodes} Pis, {self.speed:g} times as fast as real ones{fault}"


@dataclass(frozen=True, slots=True)
class Soak:
    """What to test, and where; None where it was not said."""

    plan: Plan
    where: Where
    out: Path | None
    simulate: Simulate | None


def main(asked: Soak) -> int:
    """Run it; 0 where every cycle that was planned came up."""
    try:
        check(asked)
        folder = Folder(asked.out or Path(time.strftime("soak-%Y%m%d-%H%M%S")))
    except HostError as error:
        return complain(error)

    def write(cycle: Cycle) -> None:
        folder.add(cycle)
        print(report.progress(cycle), flush=True)

    book = Book(write)
    code = run(lambda: test(asked, book, folder), logging.WARNING)
    if folder.said:
        print(folder.said)
    return code or int(not folder.good)


def check(asked: Soak) -> None:
    """UsageError where the arguments make no sense together."""
    if (asked.plan.cycles is None) == (asked.plan.hours is None):
        raise UsageError("say either --cycles or --hours")
    if asked.simulate is None:
        target(asked.where)
    elif asked.where.broker or asked.where.cluster:
        raise UsageError(
            "--simulate brings a broker and a cluster of its own; leave --broker and --cluster out"
        )


async def test(asked: Soak, book: Book, folder: Folder) -> None:
    """Connect, choose the slots, cycle them; the report is written however that ends."""
    async with AsyncExitStack() as stack:
        if asked.simulate is None:
            address, cluster = await found(asked.where)
        else:
            address, cluster = await stack.enter_async_context(simulated(asked.simulate)), demo.CLUSTER
        head = await stack.enter_async_context(connected(address, cluster))
        info = await meet(head.view, cluster)
        names = choose(asked.plan, head.view, info)
        folder.begin(_about(asked, cluster, info, names))
        try:
            await soak(head, names, asked.plan, book)
        finally:
            folder.end(book, asked.plan)


async def found(where: Where) -> tuple[BrokerAddress, str]:
    """The broker and the cluster that are meant; Unreachable where there is no broker now."""
    async with reached(where, "soak") as (visit, cluster):
        return visit.address, cluster


@asynccontextmanager
async def connected(address: BrokerAddress, cluster: str) -> AsyncIterator[MqttHead]:
    """The agent behind a broker, for the length of the block."""
    head = MqttHead(address, cluster)
    running = asyncio.create_task(head.run(), name="soak connection")
    try:
        yield head
    finally:
        running.cancel()
        await asyncio.wait({running})


@asynccontextmanager
async def simulated(simulate: Simulate) -> AsyncIterator[BrokerAddress]:
    """A broker, and an agent over simulated Pis that may be cycled as often as one likes."""
    async with AsyncExitStack() as stack:
        address = parse_broker_url(await stack.enter_async_context(broker.embedded()))
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="terrible-soak-")))
        write_boot_files(base)
        cluster = demo.Simulated(boards(simulate), simulate.speed, limits(simulate.speed))
        await stack.enter_async_context(demo.cluster(cluster, base, address))
        yield address


def limits(speed: float) -> Limits:
    """As often as one likes, and faster, but for transfers: how long those stall is this machine's doing.

    At 50 times the speed a busy machine was late by the 0.1 s that would be left of 5 s.
    """
    usual = Limits()
    return replace(
        demo.hurried(usual, speed),
        cycle_every=0.0,
        cycles_per_hour=1_000_000,
        control_out=usual.control_out,
        bulk_out=usual.bulk_out,
    )


def boards(simulate: Simulate) -> list[Pi]:
    """The Pis, all with the same weakness."""
    timing = Timing().scaled(simulate.speed)
    faults = [Fault(simulate.fault, None, simulate.chance)] if simulate.fault else []
    return [Pi(timing=timing, faults=faults) for _ in range(simulate.nodes)]


def _about(asked: Soak, cluster: str, info: Introduction, names: list[str]) -> About:
    plan = f"{asked.plan.cycles} cycles each" if asked.plan.cycles else f"{asked.plan.hours:g} hours"
    return About(
        cluster=cluster,
        slots=tuple(names),
        plan=plan,
        host=info.host,
        version=info.version,
        kernel=platform.release() if info.host == socket.gethostname() else "",
        simulated=str(asked.simulate) if asked.simulate else "",
        started=time.time(),
        ended=0.0,
    )
