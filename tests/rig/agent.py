"""`terrible run` in the guest, its broker on this machine, and what it says there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt

from terrible.sim.faults import Fault
from terrible.sim.pi import Pi, Timing
from tests.mqtt.brokers import Mosquitto

from .conftest import Rig
from .remote import Process

BOOT = "/boot-files"
NODES = ("node1", "node2", "node3", "node4")
BRISK = Timing(rom=0.1, gap=0.3, kernel=0.5, initramfs_pause=0.1)
"""A brisk Pi: the gaps of a real one say nothing about the agent."""
HUB = 'hub = "1-1"\nports = 4'
CONFIG = """
cluster = "rig"
{slots}
state_directory = "/var/lib/terrible"
[mqtt]
host = "10.0.2.2"
port = {port}
[files]
directory = "/boot-files"{files}
[net]
enabled = {network}
[limits]
off_time = 1
pauses = [1, 1, 1]
cycle_every = 1
cycles_per_hour = 1000
stagger = 0.1
control_in = 5
rom_to_loader = 5
loader_to_gadget = 10
ping_every = 0.5
lost_after = 3
watchdog = 3
"""


class Ear:
    """Hears all that the agent publishes: the last payload per topic, and every phase in order."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.last: dict[str, Any] = {}
        self.phases: dict[str, list[str]] = {}
        self.boots: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self._heard = asyncio.Event()

    async def say(self, topic: str, payload: str) -> None:
        await self._client.publish(f"terrible/rig/{topic}", payload, qos=1)

    async def listen(self) -> None:
        async for message in self._client.messages:
            topic = message.topic.value.removeprefix("terrible/rig/")
            payload = bytes(message.payload).decode()
            self.last[topic] = json.loads(payload) if payload.startswith("{") else payload
            self._note(topic)
            self._heard.set()

    def _note(self, topic: str) -> None:
        said = self.last[topic]
        if topic.endswith("/state") and said:
            seen = self.phases.setdefault(topic.split("/")[1], [])
            if said["phase"] not in seen[-1:]:
                seen.append(said["phase"])
        if topic.endswith("/boot") and said:
            self.boots.append(said)
        if topic.startswith("response/") and said:
            self.answers.append(said)

    def phase(self, name: str) -> str | None:
        state = self.last.get(f"node/{name}/state")
        return state["phase"] if state else None

    async def until(self, true: Callable[[], bool], limit: float = 60) -> None:
        async with asyncio.timeout(limit):
            while not true():
                self._heard.clear()
                await self._heard.wait()

    async def until_phase(self, phase: str, *names: str, limit: float = 60) -> None:
        try:
            await self.until(lambda: all(self.phase(name) == phase for name in names), limit)
        except TimeoutError:
            ends = [f"{boot['slot']} {boot['outcome']} {boot['diagnosis']}" for boot in self.boots]
            raise AssertionError(f"not {phase}: {self.phases}, {ends}") from None


@asynccontextmanager
async def agent(
    rig: Rig, broker: Mosquitto, *, slots: str = HUB, network: bool = False, files: str = ""
) -> AsyncIterator[tuple[Process, Ear]]:
    """An agent in the guest. Killed with the block if it still runs then."""
    config = CONFIG.format(port=broker.port, slots=slots, network=str(network).lower(), files=files)
    await rig.head.put("/etc/terrible.toml", config.encode(), 0o644)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        ear = Ear(client)
        await client.subscribe("terrible/rig/#", qos=1)
        listening = asyncio.create_task(ear.listen())
        command = ["python3", "-m", "terrible", "run", "--config", "/etc/terrible.toml"]
        try:
            async with rig.head.spawn(command) as process:
                try:
                    yield process, ear
                except BaseException:
                    print(process.tail(60))
                    print((await rig.head.run(["cat", "/run/terrible-net/log"], check=False)).text)
                    raise
        finally:
            listening.cancel()


def four(rig: Rig, *faults: Fault) -> list[Pi]:
    """Four Pis in the hub, these faults in the third."""
    pis = [Pi(timing=BRISK, faults=faults if port == 3 else ()) for port in (1, 2, 3, 4)]
    for port, pi in enumerate(pis, start=1):
        rig.hub.insert(port, pi)
    return pis
