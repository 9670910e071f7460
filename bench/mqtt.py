"""The contract's speed: a command to the switched port, news at a steady rate, `watch` on a full broker.

Everything runs over a real mosquitto on loopback; agent and measurer are processes with one clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiomqtt

from bench import bootfiles
from bench.changes import INFO, SLOTS, change
from bench.child import write
from bench.simulated import CLUSTER
from bench.table import Row, show
from terrible.model import Info, Report
from terrible.mqtt import payloads
from terrible.mqtt.topics import Topics
from tests.mqtt.brokers import Mosquitto

NODES = 4
RATE = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=20, help="of news at 100 changes a second")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--only", choices=sorted(BENCHES), nargs="+", default=list(BENCHES))
    options = parser.parse_args()
    for name in options.only:
        show(name, asyncio.run(BENCHES[name](options)))


@asynccontextmanager
async def _mosquitto() -> AsyncIterator[tuple[int, Path]]:
    with tempfile.TemporaryDirectory(prefix="terrible-bench-") as scratch:
        broker = Mosquitto(Path(scratch))
        await broker.start()
        try:
            yield broker.port, Path(scratch)
        finally:
            await broker.kill()


@asynccontextmanager
async def _child(module: str, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    argv = [sys.executable, "-m", module, *map(str, arguments)]
    null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=null, limit=1 << 24)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


# -- a command --------------------------------------------------------------------------------------


async def commands(options: argparse.Namespace) -> list[Row]:
    """`off` by force, from its publication to the port's power; in between `on`, until the node is up."""
    async with _mosquitto() as (port, scratch):
        write(scratch / "files", bootfiles.tiny())
        async with _child("bench.switching", port, NODES, scratch / "files") as agent:
            while "ready" not in await _line(agent):
                pass
            delays = [await _off_and_on(agent, port, number) for number in range(options.commands)]
        echoes = [await _echo(port) for _ in range(options.commands)]
    return [
        *_percentiles("command to switched port", delays, goal=20),
        *_percentiles("the broker alone: a message to its receipt", echoes),
    ]


async def _off_and_on(agent: asyncio.subprocess.Process, port: int, number: int) -> float:
    slot = f"node{number % NODES + 1}"
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"terrible/{CLUSTER}/response/power", qos=1)
        began = time.monotonic()
        await _ask(client, f"off-{number}", slot, "off")
        while (switched := await _line(agent))["on"]:
            pass
        await _done(client, f"off-{number}")
        await _ask(client, f"on-{number}", slot, "on")
        await _done(client, f"on-{number}")
    return float(str(switched["at"])) - began


async def _ask(client: aiomqtt.Client, number: str, slot: str, action: str) -> None:
    request = {"id": number, "slots": slot, "action": action, "force": True}
    await client.publish(f"terrible/{CLUSTER}/request/power", json.dumps(request), qos=1)


async def _done(client: aiomqtt.Client, number: str) -> None:
    async for message in client.messages:
        answer = json.loads(bytes(message.payload))
        if answer["id"] == number and answer["status"] != "accepted":
            if not answer["ok"]:
                raise RuntimeError(f"{number}: {answer}")
            return


async def _line(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    if not line:
        raise RuntimeError("the agent's process has ended")
    said: dict[str, object] = json.loads(line)
    return said


async def _echo(port: int) -> float:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("echo", qos=1)
        began = time.monotonic()
        await client.publish("echo", b"x", qos=1)
        await anext(client.messages)
        return time.monotonic() - began


def _percentiles(what: str, delays: Sequence[float], goal: float | None = None) -> list[Row]:
    percent = statistics.quantiles([1000 * delay for delay in delays], n=100)
    return [
        Row(f"{what}, p50 of {len(delays)}", [percent[49]], "ms"),
        Row(f"{what}, p99", [percent[98]], "ms", goal),
    ]


# -- news -------------------------------------------------------------------------------------------


async def news(options: argparse.Namespace) -> list[Row]:
    """CPU of the agent's MQTT side at 100 changes a second, beside a bare client that publishes as much."""
    percent: dict[str, list[float]] = {"agent": [], "bare": []}
    async with _mosquitto() as (port, _):
        for _ in range(options.samples):
            for which, samples in percent.items():
                async with _child("bench.changes", port, RATE, options.seconds, which) as process:
                    cpu = float(str((await _line(process))["cpu"]))
                samples.append(100 * cpu / options.seconds)
    ratio = [ours / peer for ours, peer in zip(percent["agent"], percent["bare"], strict=True)]
    return [
        Row("CPU at 100 changes/s", percent["agent"], "% of a core"),
        Row("a bare client that says as much", percent["bare"], "% of a core"),
        Row("agent / bare", ratio),
    ]


# -- watch ------------------------------------------------------------------------------------------


async def watch(options: argparse.Namespace) -> list[Row]:
    """`terrible watch` of one cluster at a broker that holds 200: from its start to the last slot's line.

    Beside it a bare Python that imports what it needs and receives the same topics.
    """
    seconds: dict[str, list[float]] = {"watch": [], "bare": []}
    memory: dict[str, list[float]] = {"watch": [], "bare": []}
    async with _mosquitto() as (port, _):
        await _fill(port)
        for _ in range(options.samples):
            for which, argv in _viewers(port).items():
                took, resident = await _first_table(argv)
                seconds[which].append(took)
                memory[which].append(resident)
    return [
        Row(f"watch at {CLUSTERS} clusters: first complete table", seconds["watch"], "s"),
        Row("a bare client: the same topics", seconds["bare"], "s"),
        Row(
            "watch / bare",
            [ours / bare for ours, bare in zip(seconds["watch"], seconds["bare"], strict=True)],
        ),
        Row("watch: resident", memory["watch"], "MB"),
        Row("a bare client: resident", memory["bare"], "MB"),
    ]


CLUSTERS = 200
BARE = """
import asyncio, sys, aiomqtt, rich.live, rich.table, typer, pydantic
async def main():
    async with aiomqtt.Client("127.0.0.1", int(sys.argv[1])) as client:
        await client.subscribe("terrible/c7/#", qos=1)
        async for message in client.messages:
            if message.topic.value.endswith("/state"):
                print(message.topic.value, flush=True)
asyncio.run(main())
"""


def _viewers(port: int) -> dict[str, list[str]]:
    where = ["--broker", f"mqtt://127.0.0.1:{port}", "-c", "c7"]
    watching = [sys.executable, "-m", "terrible", "watch", *where]
    return {"watch": watching, "bare": [sys.executable, "-c", BARE, str(port)]}


async def _fill(port: int) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for number in range(CLUSTERS):
            topics = Topics(f"c{number}")
            info = replace(INFO, cluster=topics.cluster)
            news: list[Info | Report] = [info, *(change(4 * len(SLOTS) - 1 - n) for n in range(len(SLOTS)))]
            said = [payloads.status(True, topics)]
            said += [one for what in news for one in payloads.publications(what, topics, "bench", 0.0)]
            for one in said:
                await client.publish(one.topic, one.payload, one.qos, one.retain)


async def _first_table(argv: Sequence[str]) -> tuple[float, float]:
    began = time.monotonic()
    null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=null)
    assert process.stdout
    try:
        seen: set[str] = set()
        while len(seen) < len(SLOTS):
            line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
            seen |= {slot.name for slot in SLOTS if slot.name in line}
        took = time.monotonic() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        return took, int(status.partition("VmRSS:")[2].split()[0]) / 1024
    finally:
        process.terminate()
        await process.wait()


BENCHES = {"commands": commands, "news": news, "watch": watch}

if __name__ == "__main__":
    main()
