"""CPU of one boot in clusters of 4, 32 and 120 slots, with small files: the agent's own work is what counts.

`virtual` runs agent and simulator in virtual time, where nothing waits and the process does nothing but
boot; every payload is made, none is sent. `broker` sends them to a real mosquitto, in real time, all slots
booting at once. Both contain the simulator's Pis, which cost the same for each boot.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bench import bootfiles
from bench.child import child, write
from bench.simulated import CLUSTER, TIMING
from bench.table import Row, show
from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.limits import Limits
from terrible.model import Answer, Request
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.client import MqttBroker
from terrible.seams import News
from terrible.sim.alarms import SimAlarms
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.disks import SimDisks
from terrible.sim.pi import Pi
from terrible.sim.prober import SimProber
from terrible.state import State
from terrible.usb.bootfiles import BootFiles
from terrible.usb.layers import Roots
from tests.clock import run
from tests.cluster import INFO, make_slots

SIZES = (4, 32, 120)
BOOTS = 480
"""Of every size alike, so that what a process does only once weighs the same."""


class Unsent:
    """The broker of the product, never connected: it makes every payload and keeps the newest."""

    def __init__(self) -> None:
        self._broker = MqttBroker(BrokerAddress("127.0.0.1", 1), CLUSTER, "session")

    def tell(self, news: News) -> None:
        self._broker.tell(news)

    def answer(self, request: Request, answer: Answer) -> None:
        self._broker.answer(request, answer)

    async def requests(self) -> AsyncIterator[Request]:
        await asyncio.Event().wait()
        yield Request("", "")

    async def run(self) -> None:
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=3)
    samples = parser.parse_args().samples
    with tempfile.TemporaryDirectory(prefix="terrible-bench-") as scratch:
        write(Path(scratch), bootfiles.tiny())
        virtual = [{slots: run(_virtual(slots, Path(scratch))) for slots in SIZES} for _ in range(samples)]
    broker = [{slots: asyncio.run(_broker(slots)) for slots in SIZES} for _ in range(samples)]
    show(f"CPU per boot, {BOOTS} boots each", [*rows("virtual", virtual), *rows("broker", broker)])


def rows(kind: str, samples: Sequence[dict[int, float]]) -> list[Row]:
    """The sizes in milliseconds, and in each sample the most expensive against the smallest cluster's."""
    spread = [max(sample.values()) / sample[SIZES[0]] for sample in samples]
    each = [Row(f"{kind}, {slots} slots", [1000 * s[slots] for s in samples], "ms") for slots in SIZES]
    return [*each, Row(f"{kind}, the dearest / {SIZES[0]} slots", spread, "", 1.2)]


async def _virtual(slots: int, directory: Path) -> float:
    pis = [Pi(timing=TIMING, order=bootfiles.FIRMWARE) for _ in range(slots)]
    cluster = SimCluster(plugged(pis))
    named = make_slots(cluster.ports)
    means = Means(BootFiles(Roots(directory), named, CLUSTER), cluster, Limits())
    world = World(
        cluster.bus, cluster, SimAlarms(), cluster, Unsent(), means, SimProber(cluster), SimDisks(cluster, {})
    )
    running = asyncio.create_task(Agent(world, named, INFO, State(None)).run())
    await asyncio.gather(*(pi.answering(True) for pi in pis))
    began = time.process_time()
    for _ in range(BOOTS // slots):
        for pi in pis:
            pi.tell("reboot")
        await asyncio.gather(*(pi.answering(False) for pi in pis))
        await asyncio.gather(*(pi.answering(True) for pi in pis))
    cpu = time.process_time() - began
    running.cancel()
    await asyncio.wait({running})
    await cluster.close()
    return cpu / (BOOTS // slots * slots)


async def _broker(slots: int) -> float:
    async with child(slots, BOOTS // slots, bootfiles.tiny()) as agent:
        await agent.told()
        cpu: float = (await agent.told())["cpu_per_boot"]
    return cpu


if __name__ == "__main__":
    main()
