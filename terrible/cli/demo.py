"""`terrible demo`: the real agent on simulated Pis and a broker of its own, watched through MQTT."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import aiomqtt
from rich.console import Console

from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli import broker, settings
from terrible.cli.board import Board
from terrible.cli.loop import complain, run
from terrible.cli.screen import Screen
from terrible.config import Config
from terrible.configfile import load
from terrible.errors import HostError, UsageError
from terrible.limits import Limits
from terrible.mqtt.address import BrokerAddress, parse_broker_url
from terrible.mqtt.client import MqttBroker
from terrible.sim.alarms import SimAlarms
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.disks import SimDisks
from terrible.sim.faults import Fault, Kind
from terrible.sim.files import write_boot_files, write_mass_storage
from terrible.sim.pi import Pi, Timing
from terrible.sim.prober import SimProber
from terrible.state import State
from terrible.usb.bootfiles import BootFiles
from terrible.usb.layers import Roots

CLUSTER = "demo"
IMAGE, IMAGE_BYTES = "demo.img", 200_000_000
"""What `terrible flash` may write to the cards of the demo."""
RATE = 8e6
"""Bytes a second that four Pis share: slow enough to be watched."""
FAULTY = 3
MASS_STORAGE = "mass-storage"


@dataclass(frozen=True, slots=True)
class Demo:
    """What to show."""

    nodes: int
    speed: float
    fault: Kind
    broker: str | None
    once: bool


@dataclass(frozen=True, slots=True)
class Simulated:
    """A cluster to make: its Pis, how much faster than real ones their bus is, and the agent's limits."""

    boards: Sequence[Pi]
    speed: float
    limits: Limits


def main(demo: Demo) -> int:
    """Show it until all is up (`once`) or Ctrl-C."""
    try:
        address = parse_broker_url(demo.broker or "mqtt://localhost")
    except ValueError as error:
        return complain(UsageError(str(error)))
    if address.password is not None:
        return complain(UsageError("--broker: whoever else is on this machine can read a password there"))
    return run(lambda: show(demo, Console()), logging.WARNING)


async def show(demo: Demo, console: Console) -> None:
    """Make the cluster and the broker, and watch."""
    async with AsyncExitStack() as stack:
        url = demo.broker
        if url is None:
            url = await stack.enter_async_context(broker.embedded())
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="terrible-demo-")))
        board = Board(CLUSTER, write_boot_files(base))
        address = parse_broker_url(url)
        simulated = Simulated(pis(demo), demo.speed, hurried(Limits(), demo.speed))
        await stack.enter_async_context(cluster(simulated, base, address))
        try:
            await _watch(demo, board, address, console)
        except aiomqtt.MqttError as error:
            raise HostError(f"no broker at {address}: {error}; is it running?") from None


@asynccontextmanager
async def cluster(simulated: Simulated, base: Path, address: BrokerAddress) -> AsyncIterator[str]:
    """The agent over its simulated cluster, as long as the block; its session."""
    config = load(None, {}).model_copy(update=overrides(simulated, base))
    info = settings.introduction(config)
    slots = config.named_slots()
    cluster = SimCluster(plugged(simulated.boards), rate=RATE * simulated.speed)
    write_mass_storage(base / MASS_STORAGE)
    firmware = BootFiles(Roots(base / MASS_STORAGE), slots, CLUSTER)
    means = Means(settings.files(config, slots), cluster, config.limits, firmware)
    broker = MqttBroker(address, CLUSTER, info.session, settings.discovery(config))
    prober = SimProber(cluster, simulated.speed)
    world = World(
        cluster.bus,
        cluster,
        SimAlarms(),
        cluster,
        broker,
        means,
        prober,
        SimDisks(cluster, {IMAGE: IMAGE_BYTES}, simulated.speed),
    )
    running = asyncio.create_task(Agent(world, slots, info, State(None)).run(), name="agent")
    try:
        yield info.session
    finally:
        running.cancel()
        await asyncio.wait({running})
        await cluster.close()


def overrides(simulated: Simulated, base: Path) -> dict[str, object]:
    """The configuration of the demo's cluster."""
    files = Config().files.model_copy(update={"directory": base})
    ports = len(simulated.boards)
    return {"cluster": CLUSTER, "hub": "1-1", "ports": ports, "files": files, "limits": simulated.limits}


def pis(demo: Demo) -> list[Pi]:
    """The Pis, one of them faulty."""
    timing = Timing().scaled(demo.speed)
    faulty = min(FAULTY, demo.nodes)
    return [
        Pi(timing=timing, faults=[Fault(demo.fault)] if number == faulty else [])
        for number in range(1, demo.nodes + 1)
    ]


def hurried(limits: Limits, speed: float) -> Limits:
    """The same limits on a clock that runs `speed` times as fast."""
    times = {
        field.name: getattr(limits, field.name) / speed
        for field in fields(limits)
        if isinstance(getattr(limits, field.name), float)
    }
    pauses = tuple(pause / speed for pause in limits.pauses)
    return replace(limits, **times, pauses=pauses)


async def _watch(demo: Demo, board: Board, address: BrokerAddress, console: Console) -> None:
    """Follow the messages until all nodes are up and, unless `once`, until Ctrl-C."""
    began = time.monotonic()
    async with aiomqtt.Client(address.host, address.port, identifier=f"watch-{began}") as client:
        await client.subscribe([(topic, 1) for topic in board.filters])
        result = ""
        with Screen(console, board) as screen:
            async for message in client.messages:
                if message.retain and message.topic.matches("+/+/node/+/boot"):
                    continue  # perhaps of an earlier agent's node, which did not come up by this one
                screen.show(board.take(message.topic.value, bytes(message.payload)))
                if not result and board.complete(demo.nodes):
                    seconds = time.monotonic() - began
                    result = f"{board.up}/{demo.nodes} up in {seconds:.1f} s, {board.recovered} recovered"
                    if demo.once:
                        break
                    screen.say(*hints(demo, address), result, "Ctrl-C ends it.")
        if demo.once:
            console.print(result, highlight=False)


def hints(demo: Demo, address: BrokerAddress) -> list[str]:
    """Commands that work in the environment the demo has made."""
    node = f"terrible/{CLUSTER}/node/node{min(2, demo.nodes)}/power/set"
    everything = shlex.quote(f"terrible/{CLUSTER}/#")
    return [
        f"watch everything:   {broker.client_command('sub', address, '-t', everything)}",
        f"power-cycle a node: {broker.client_command('pub', address, '-t', node, '-m', 'cycle')}",
        f"write all cards:    {shlex.quote(sys.argv[0])} flash {IMAGE} all --broker {address}",
    ]
