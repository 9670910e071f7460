"""Brokers that die or freeze while Pis boot: what is retained afterwards is what the agent says."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli import settings
from terrible.cli.demo import Simulated, hurried, overrides
from terrible.configfile import load
from terrible.limits import Limits
from terrible.model import Phase, Report
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.client import MqttBroker
from terrible.sim.alarms import SimAlarms
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.disks import SimDisks
from terrible.sim.pi import Pi, Timing
from terrible.sim.prober import SimProber
from terrible.state import State
from tests.cluster import boot_directory

from .agent import Agent as Bare
from .brokers import Mosquitto, Observer, observing, run, running, until
from .examples import INFO, SLOTS, report

LONG = os.environ.get("LONG") == "1"
DEATHS = 100 if LONG else 8
SPEED = 20.0
NODES = 4


class Told(MqttBroker):
    """Remembers nothing more; what it has to say is what its outbox holds."""

    @property
    def snapshot(self) -> dict[str, bytes]:
        return {topic: publication.payload for topic, publication in self._outbox.tree.items()}


@asynccontextmanager
async def booting(base: Path, port: int) -> AsyncIterator[tuple[Told, list[Pi]]]:
    """A real agent whose simulated Pis start over again and again."""
    pis = [Pi(timing=Timing().scaled(SPEED)) for _ in range(NODES)]
    simulated = Simulated(pis, SPEED, hurried(Limits(), SPEED))
    config = load(None, {}).model_copy(update=overrides(simulated, boot_directory(base / "boot")))
    info, slots = settings.introduction(config), config.named_slots()
    sim = SimCluster(plugged(pis))
    broker = Told(BrokerAddress("127.0.0.1", port), config.cluster, info.session)
    means = Means(settings.files(config, slots), sim, config.limits)
    world = World(sim.bus, sim, SimAlarms(), sim, broker, means, SimProber(sim, SPEED), SimDisks(sim, {}))
    tasks = [
        asyncio.create_task(Agent(world, slots, info, State(None)).run()),
        *(asyncio.create_task(_reboot(pi)) for pi in pis),
    ]
    try:
        yield broker, pis
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await sim.close()


async def _reboot(pi: Pi) -> None:
    while True:
        await pi.answering(True)
        await asyncio.sleep(random.uniform(0, 0.3))
        pi.tell("reboot")
        await pi.answering(False)


def test_the_retained_tree_is_the_agents_after_every_death_of_the_broker(tmp_path: Path) -> None:
    async def test() -> None:
        broker = Mosquitto(tmp_path)
        async with booting(tmp_path, broker.port) as (agent, _):
            for _ in range(DEATHS):
                async with running(broker), observing(broker.port) as observer:
                    await until(lambda: observer.held.get("terrible/demo/status") == b"online", 10.0)
                    await until(lambda: agree(observer, agent), 5.0, "what is retained is what was told")
                    await asyncio.sleep(random.uniform(0, 0.5))  # the moment of its death
                    await broker.kill()

    run(test())


def agree(observer: Observer, agent: Told) -> bool:
    """At a moment when nothing is on its way."""
    return not len(agent._outbox) and observer.held == agent.snapshot


def test_a_frozen_broker_costs_no_memory_while_states_change(tmp_path: Path) -> None:
    """A minute's worth at 100 changes a second; an hour's would be no more: each topic has one place."""

    async def test() -> None:
        broker = Mosquitto(tmp_path)
        async with running(broker), observing(broker.port) as observer:
            told = Bare(broker.port)
            told.tell(INFO)
            await until(lambda: observer.status == "online")
            assert broker.process is not None
            os.kill(broker.process.pid, signal.SIGSTOP)
            change(told, 1_000)
            before = resident()
            for second in range(60 if not LONG else 600):
                change(told, 100, 1_000.0 + second)
                await asyncio.sleep(0)
            assert resident() - before < 5_000_000
            os.kill(broker.process.pid, signal.SIGCONT)
            last = report(SLOTS[0], Phase.LOST, 1e6)
            told.tell(last)
            await until(lambda: b'"lost"' in observer.held.get("terrible/rack-1/node/node1/state", b""), 30.0)
            await told.stop()

    run(test())


def change(told: Bare, times: int, since: float = 0.0) -> None:
    phases = (Phase.ROM, Phase.LOADING, Phase.STARTING, Phase.UP)
    news: list[Report] = [
        report(SLOTS[number % 4], phases[number // 4 % 4], since + number) for number in range(times)
    ]
    told.tell(*news)


def resident() -> int:
    """Bytes (proc(5): statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("kind", ["power/set", "request", "remote/request"])
def test_a_retained_off_on_every_command_topic_changes_nothing(tmp_path: Path, kind: str) -> None:
    async def test() -> None:
        broker = Mosquitto(tmp_path)
        async with running(broker), observing(broker.port) as observer:
            base = "terrible/rack-1"
            for slot in (*(s.name for s in SLOTS), "all"):
                if kind == "power/set":
                    await observer.client.publish(f"{base}/node/{slot}/power/set", b"off", 1, retain=True)
                else:
                    asked = b'{"id":"%s","slots":"all","action":"off","expires":9e9}' % slot.encode()
                    await observer.client.publish(f"{base}/{kind}/power", asked, 1, retain=True)
            told = Bare(broker.port)
            told.tell(INFO)
            await until(lambda: observer.status == "online")
            # and once more while it listens: MQTT 5 tells that it is retained
            await observer.client.publish(f"{base}/node/node1/power/set", b"off", 1, retain=True)
            await observer.client.publish(f"{base}/node/node1/power/set", b"cycle", 1)
            await until(lambda: bool(told.asked))
            assert [(r.verb, r.action) for r in told.asked] == [("power", "cycle")]
            assert told.broker._commands.refused["retained"] == {"power/set": 6}.get(kind, 2)
            await told.stop()

    run(test())
