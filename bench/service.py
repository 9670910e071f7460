"""`terrible run` in the rig with four nodes up: what it costs on a real USB stack while nothing happens."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiomqtt

from bench import bootfiles, boots
from bench.lab import PORTS, Lab
from bench.table import Row
from terrible.sim.pi import Pi
from tests.mqtt.brokers import Mosquitto

DIRECTORY = "/files-service"
CONFIG = """
cluster = "rig"
hub = "1-1"
ports = 4
[mqtt]
host = "10.0.2.2"
port = {port}
[files]
directory = "{directory}"
[net]
enabled = false
"""
COMMAND = ["python3", "-m", "terrible", "run", "--config", "/etc/terrible.toml"]


async def measure(lab: Lab, seconds: float, samples: int) -> list[Row]:
    """Boot four nodes, let everything settle, and look at the process for a while."""
    await lab.files(DIRECTORY, bootfiles.sized(18_000_000))
    with tempfile.TemporaryDirectory(prefix="terrible-bench-") as scratch:
        broker = Mosquitto(Path(scratch))
        await broker.start()
        try:
            return await _measure(lab, broker.port, seconds, samples)
        finally:
            await broker.kill()


async def _measure(lab: Lab, port: int, seconds: float, samples: int) -> list[Row]:
    config = CONFIG.format(port=port, directory=DIRECTORY)
    await lab.head.put("/etc/terrible.toml", config.encode())
    pis = [Pi(timing=boots.TIMING, order=bootfiles.FIRMWARE) for _ in PORTS]
    lab.insert(pis)
    async with lab.head.spawn(COMMAND) as process:
        await _all_up(port)
        await asyncio.sleep(20)
        percent = [await _percent(lab, process.pid, seconds) for _ in range(samples)]
        cost = await lab.cost(process.pid)
        helpers = await _helpers(lab, process.pid)
        await process.signal()
        await process.wait()
    await lab.power_off()
    return _rows(percent, cost.resident, cost.peak, helpers)


def _rows(percent: Sequence[float], resident: float, peak: float, helpers: Sequence[float]) -> list[Row]:
    return [
        Row("CPU, 4 nodes up, broker connected", percent, "% of a core", 0.1),
        Row("resident, after booting 4 x 18 MB", [resident], "MB", 45),
        Row("its peak", [peak], "MB"),
        Row("resident, its port helper", helpers or [0.0], "MB"),
    ]


async def _all_up(port: int) -> None:
    online: set[str] = set()
    async with aiomqtt.Client("127.0.0.1", port) as client, asyncio.timeout(120):
        await client.subscribe("terrible/rig/node/+/status", qos=1)
        async for message in client.messages:
            if message.payload == b"online":
                online.add(message.topic.value)
            if len(online) == len(PORTS):
                return


async def _percent(lab: Lab, pid: int, seconds: float) -> float:
    before = await _nanoseconds(lab, pid)
    await asyncio.sleep(seconds)
    return 100 * (await _nanoseconds(lab, pid) - before) / 1e9 / seconds


async def _nanoseconds(lab: Lab, pid: int) -> int:
    """CPU of all threads, finer than the ticks of proc(5) stat."""
    read = await lab.head.run(["sh", "-c", f"cat /proc/{pid}/task/*/schedstat"])
    return sum(int(line.split()[0]) for line in read.text.splitlines())


async def _helpers(lab: Lab, pid: int) -> list[float]:
    children = await lab.head.run(["sh", "-c", f"cat /proc/{pid}/task/*/children"])
    return [(await lab.cost(int(child))).resident for child in children.text.split()]
