"""The unmodified agent on simulated Pis and a real broker, as a process of its own: what others measure.

`python -m bench.simulated PORT NODES ROUNDS DIRECTORY TOGETHER` boots all nodes and prints a line of JSON.
Then it reboots them ROUNDS times, all at once or (TOGETHER 0) one after the other, prints another, and
stays idle until it is told to stop. It imports what `terrible run` imports, and nothing of the bench's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.bootfiles import FIRMWARE
from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli import (
    run,  # noqa: F401 - for its weight: the agent of a real head imports all of this
    settings,
)
from terrible.cli.loop import run as run_loop
from terrible.config import Config
from terrible.configfile import load
from terrible.limits import Limits
from terrible.model import Location
from terrible.mqtt.client import MqttBroker
from terrible.sim.alarms import SimAlarms
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.disks import SimDisks
from terrible.sim.hub import SimDevice
from terrible.sim.pi import Pi, Timing
from terrible.sim.prober import SimProber
from terrible.state import State
from terrible.usb.identify import Descriptors

CLUSTER = "bench"
TIMING = Timing(rom=0.05, gap=0.1, request=0.0, initramfs_pause=0.0, kernel=0.1)
PAUSE = 0.05
UNWANTED = ("typer", "rich", "amqtt")
Arrival = tuple[str, str, float]
"""Location, stage, time (of the clock that all processes share)."""


class Stand:
    """The cluster, with a note of every arrival."""

    def __init__(self, nodes: int) -> None:
        self.pis = [Pi(timing=TIMING, order=FIRMWARE) for _ in range(nodes)]
        self.cluster = SimCluster(plugged(self.pis))
        self.arrivals: list[Arrival] = []
        self._plug = self.cluster.bus.plug
        setattr(self.cluster.bus, "plug", self._noted)  # noqa: B010 - mypy forbids to assign a method

    def _noted(self, location: Location, descriptors: Descriptors) -> SimDevice:
        at = time.monotonic()
        device = self._plug(location, descriptors)
        self.arrivals.append((location, str(device.stage), at))
        return device

    async def up(self) -> None:
        await asyncio.gather(*(pi.answering(True) for pi in self.pis))

    async def reboot(self, pis: Sequence[Pi]) -> None:
        """Not right as the last is up: a gadget that leaves at once is never told of."""
        await asyncio.sleep(PAUSE)
        for pi in pis:
            pi.tell("reboot")
        await asyncio.gather(*(pi.answering(False) for pi in pis))
        await asyncio.gather(*(pi.answering(True) for pi in pis))


def main(port: str, nodes: str, rounds: str, directory: str, together: str) -> int:
    return run_loop(lambda: _show(int(port), int(nodes), int(rounds), Path(directory), together != "0"))


async def _show(port: int, nodes: int, rounds: int, directory: Path, together: bool) -> None:
    stand = Stand(nodes)
    running = asyncio.create_task(agent(stand.cluster, port, directory, Limits()).run(), name="agent")
    try:
        await stand.up()
        await asyncio.sleep(1)  # what it says of that is said, and its start is no part of what follows
        _say(unwanted=[name for name in UNWANTED if name in sys.modules])
        stand.arrivals.clear()
        began = time.process_time()
        for _ in range(rounds):
            for pis in [stand.pis] if together else [[pi] for pi in stand.pis]:
                await stand.reboot(pis)
        await asyncio.sleep(0.5)
        cpu = time.process_time() - began
        _say(arrivals=stand.arrivals, cpu_per_boot=cpu / max(1, rounds * nodes))
        await running
    finally:
        running.cancel()
        await asyncio.wait({running})
        await stand.cluster.close()


def agent(cluster: SimCluster, port: int, directory: Path, limits: Limits) -> Agent:
    """Assembled as `terrible run` does it; every node may be powered and booted at once."""
    nodes = len(cluster.ports)
    config = load(None, {}).model_copy(
        update={
            "cluster": CLUSTER,
            "hub": "1-1",
            "ports": nodes,
            "files": Config().files.model_copy(update={"directory": directory}),
            "mqtt": Config().mqtt.model_copy(update={"host": "127.0.0.1", "port": port}),
            "limits": replace(limits, stagger=0.0, cold_boots=nodes),
        }
    )
    info, slots = settings.introduction(config), config.named_slots()
    broker = MqttBroker(settings.broker_address(config), CLUSTER, info.session)
    means = Means(settings.files(config, slots), cluster, config.limits)
    prober, disks = SimProber(cluster), SimDisks(cluster, {})
    world = World(cluster.bus, cluster, SimAlarms(), cluster, broker, means, prober, disks)
    return Agent(world, slots, info, State(None))


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
