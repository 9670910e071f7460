"""A fleet: heads with a mosquitto each, bridged to a central one, all with the shipped files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli import demo, settings
from terrible.cli.soak import Simulate, boards, limits
from terrible.configfile import load
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.client import MqttBroker
from terrible.sim.alarms import SimAlarms
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.disks import SimDisks
from terrible.sim.prober import SimProber
from terrible.state import State
from tests.cluster import boot_directory

from .brokers import Observer, Wire, observing, running, until
from .shipped import Guarded, fill

CLUSTERS = ("rack", "barn", "attic")
SPEED = 50.0


class Centre(Guarded):
    """The central broker. To show what a bridge does not bring, `anything` may do anything there, and a
    bridge read all of its cluster.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        super().__init__(directory, "central.acl")
        with (directory / "terrible.acl").open("a") as acl:
            acl.write("\nuser anything\ntopic readwrite #\npattern read terrible/%u/#\n")


class Head(Guarded):
    """A head's broker with its bridge, and the line to the centre; `changed` is other than in bridge.conf."""

    def __init__(self, directory: Path, cluster: str, centre: Centre, changed: dict[str, str]) -> None:
        directory.mkdir()
        super().__init__(directory)
        self.cluster = cluster
        self.line = Wire(centre.tls_port)
        places = {
            "central.example:8883": f"127.0.0.1:{self.line.port}",
            "/etc/mosquitto/certs/fleet-ca.crt": str(centre.pki / "terrible-ca.crt"),
            "/etc/mosquitto/certs": str(centre.pki),
        }
        fill("bridge.conf", self.conf_d / "bridge.conf", {"rack": cluster, **places, **changed})

    @property
    def base(self) -> str:
        return f"terrible/{self.cluster}"

    def freeze(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


class Fleet:
    """The centre, its heads, and everything that is seen at the centre."""

    def __init__(self, centre: Centre, heads: Sequence[Head], seen: Observer) -> None:
        self.centre, self.heads, self.seen = centre, {head.cluster: head for head in heads}, seen

    def linked(self, cluster: str) -> bool:
        """What the bridge's notification says."""
        return self.seen.held.get(f"terrible/{cluster}/bridge") == b"1"

    async def all_linked(self) -> None:
        await until(lambda: all(map(self.linked, self.heads)), 20.0, "every bridge is up")

    async def say(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """As one who may do anything at the centre."""
        async with observing(self.centre.address("anything")) as somebody:
            await somebody.client.publish(topic, payload, qos, retain)

    async def ask(self, cluster: str, verb: str, retain: bool = False, **request: object) -> None:
        await self.say(f"terrible/{cluster}/request/{verb}", json.dumps(request).encode(), 1, retain)

    def answers(self, cluster: str, number: str) -> list[dict[str, Any]]:
        """All that were given at the centre to the request of that id."""
        below = f"terrible/{cluster}/response/"
        found = [json.loads(p) for topic, p, *_ in self.seen.seen if topic.startswith(below)]
        return [answer for answer in found if answer["id"] == number]

    async def answered(self, cluster: str, number: str, status: str = "done") -> dict[str, Any]:
        """The answer of that status, when it has come."""

        def those() -> list[dict[str, Any]]:
            return [answer for answer in self.answers(cluster, number) if answer["status"] == status]

        await until(lambda: bool(those()), why=f"{cluster} answers {number} with {status}")
        return those()[0]


@asynccontextmanager
async def fleet(
    base: Path, clusters: Sequence[str] = CLUSTERS, changed: dict[str, str] | None = None
) -> AsyncIterator[Fleet]:
    """Started, with every bridge up."""
    centre = Centre(base / "centre")
    heads = [Head(base / cluster, cluster, centre, changed or {}) for cluster in clusters]
    async with AsyncExitStack() as stack:
        for broker in (centre, *heads):
            await stack.enter_async_context(running(broker))
        for head in heads:
            await head.line.start()
            stack.push_async_callback(head.line.cut)
        seen = await stack.enter_async_context(observing(centre.address("viewer")))
        made = Fleet(centre, heads, seen)
        await made.all_linked()
        yield made


@asynccontextmanager
async def simulated(base: Path, cluster: str, address: BrokerAddress, nodes: int = 2) -> AsyncIterator[str]:
    """A real agent over simulated Pis, until the block ends; its session."""
    pis = demo.Simulated(boards(Simulate(nodes, SPEED, None, 0.0)), SPEED, limits(SPEED))
    own = {**demo.overrides(pis, boot_directory(base / f"boot-{cluster}")), "cluster": cluster}
    config = load(None, {}).model_copy(update=own)
    slots, info = config.named_slots(), settings.introduction(config)
    hub = SimCluster(plugged(pis.boards), rate=demo.RATE * SPEED)
    broker = MqttBroker(address, cluster, info.session)
    means = Means(settings.files(config, slots), hub, config.limits)
    world = World(
        hub.bus, hub, SimAlarms(), hub, broker, means, SimProber(hub, SPEED), SimDisks(hub, {}, SPEED)
    )
    agent = asyncio.create_task(Agent(world, slots, info, State(None)).run(), name=f"agent of {cluster}")
    try:
        yield info.session
    finally:
        agent.cancel()
        await asyncio.wait({agent})
        await hub.close()
