"""State changes at a steady rate through the agent's MQTT side, or through a bare client that says as much.

`python -m bench.changes PORT RATE SECONDS agent|bare` prints the CPU seconds of its own process, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import aiomqtt

from terrible.model import Info, Location, Phase, Report, Slot
from terrible.mqtt import payloads
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.client import MqttBroker
from terrible.mqtt.topics import Topics

CLUSTER = "bench"
SLOTS = tuple(
    Slot(f"node{n}", n, Location(f"1-1.{n}"), "02:00:00:00:00:01", "02:00:00:00:00:02") for n in range(1, 5)
)
INFO = Info("0", CLUSTER, "head", "bench", 0.0, SLOTS)
PHASES = (Phase.ROM, Phase.LOADING, Phase.STARTING, Phase.UP)


def change(number: int) -> Report:
    """The number-th change: slots in turn, each through all phases."""
    slot = SLOTS[number % len(SLOTS)]
    phase = PHASES[number // len(SLOTS) % len(PHASES)]
    return Report(slot, phase, None, True, float(number), True, (), 1)


async def agent(port: int, pace: Callable[[Callable[[int], object]], Coroutine[Any, Any, None]]) -> None:
    """As the agent tells of it: state, status, port and summary, whatever of that has changed."""
    broker = MqttBroker(BrokerAddress("127.0.0.1", port), CLUSTER, "bench")
    running = asyncio.create_task(broker.run())
    broker.tell(INFO)
    await asyncio.sleep(1)
    await pace(lambda number: broker.tell(change(number)))
    running.cancel()
    await asyncio.wait({running})


async def bare(port: int, pace: Callable[[Callable[[int], object]], Coroutine[Any, Any, None]]) -> None:
    """The same payloads of two topics by aiomqtt alone: state and summary, which change each time."""
    topics = Topics(CLUSTER)
    async with aiomqtt.Client("127.0.0.1", port) as client, asyncio.TaskGroup() as tasks:

        def tell(number: int) -> None:
            report = change(number)
            state = payloads.publications(report, topics, "bench", 0.0)[0]
            for said in (state, payloads.summary(len(SLOTS), [report, replace(report)], topics)):
                tasks.create_task(client.publish(said.topic, said.payload, said.qos, said.retain))

        await asyncio.sleep(1)
        await pace(tell)


async def _measure(port: int, rate: float, seconds: float, which: str) -> float:
    cpu = [0.0]

    async def pace(tell: Callable[[int], object]) -> None:
        began, start = time.process_time(), asyncio.get_running_loop().time()
        for number in range(int(rate * seconds)):
            tell(number)
            await asyncio.sleep(max(0.0, start + (number + 1) / rate - asyncio.get_running_loop().time()))
        cpu[0] = time.process_time() - began

    await {"agent": agent, "bare": bare}[which](port, pace)
    return cpu[0]


def main(port: str, rate: str, seconds: str, which: str) -> None:
    print(json.dumps({"cpu": asyncio.run(_measure(int(port), float(rate), float(seconds), which))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
