"""Four boots at once in the rig, from power to gadget, by whoever is to be measured."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import bootfiles, peer
from bench.bootfiles import FIRMWARE
from bench.lab import PORTS, Cost, Lab
from terrible.sim.pi import Pi, Timing
from tests.rig.remote import Process

TIMING = Timing(rom=0.1, gap=0.3, kernel=0.5, initramfs_pause=0.1)
"""A brisk Pi: the longer it does nothing, the less a ratio of makespans says about the server."""
SETTLE = 3.0
"""Seconds after the last gadget until costs are read: the peer looks at its devices once more after 2 s."""


@dataclass(frozen=True)
class Contestant:
    """A server of boot files: its command, and what it prints when it is ready."""

    name: str
    command: tuple[str, ...]
    ready: str = "waiting for Pis"


@dataclass(frozen=True)
class Outcome:
    """One run: seconds from power to the fourth gadget, CPU seconds since it was ready, MB at its peak."""

    makespan: float
    cpu: float
    peak: float
    megabytes: float


def agent(directory: str) -> Contestant:
    return Contestant("terrible serve", ("python3", "-m", "terrible", "serve", "-l", "-d", directory))


def npm(directory: str) -> Contestant:
    return Contestant("npm", (*peer.COMMAND, directory))


async def run(lab: Lab, who: Contestant, files: Mapping[str, bytes]) -> Outcome:
    """Start it, power four ports, wait for four gadgets, and check every byte."""
    return (await again(lab, who, files, times=1))[0]


async def again(lab: Lab, who: Contestant, files: Mapping[str, bytes], times: int = 2) -> list[Outcome]:
    """The same so many times with one process: what it has learned from one boot, it has for the next."""
    async with lab.head.spawn(who.command) as process:
        await process.expect(who.ready)
        await asyncio.sleep(1)
        outcomes = [await _four(lab, who, process, files) for _ in range(times)]
        await process.signal()
        await process.wait()
    return outcomes


async def _four(lab: Lab, who: Contestant, process: Process, files: Mapping[str, bytes]) -> Outcome:
    pis = [Pi(timing=TIMING, order=FIRMWARE) for _ in PORTS]
    lab.insert(pis)
    makespan, cost = await _boot(lab, who, process, pis)
    await lab.power_off()
    lab.hub.check()
    asked = {name: FIRMWARE.count(name) for name in files} | {"bootcode.bin": 1}
    _check(who, pis, files)
    return Outcome(makespan, cost.cpu, cost.peak, len(pis) * bootfiles.weight(files, asked) / 1e6)


async def _boot(lab: Lab, who: Contestant, process: Process, pis: Sequence[Pi]) -> tuple[float, Cost]:
    before = await lab.cost(process.pid)
    began = await lab.power_on()
    try:
        async with asyncio.timeout(120):
            await asyncio.gather(*(pi.answering(True) for pi in pis))
    except TimeoutError:
        raise RuntimeError(f"{who.name} did not boot all:\n{process.tail()}") from None
    makespan = asyncio.get_running_loop().time() - began
    await asyncio.sleep(SETTLE)
    after = await lab.cost(process.pid)
    return makespan, Cost(after.cpu - before.cpu, after.peak, after.resident)


def _check(who: Contestant, pis: Sequence[Pi], files: Mapping[str, bytes]) -> None:
    """Every Pi has read every file as it is in the directory."""
    expected = bootfiles.hashes(files)
    for number, pi in enumerate(pis, start=1):
        read = {name: sha256 for name, sha256 in pi.read.items() if sha256} | {"bootcode.bin": pi.bootcode}
        if read != expected:
            wrong = sorted(name for name in expected if read.get(name) != expected[name])
            raise RuntimeError(f"{who.name} served other bytes to Pi {number}: {', '.join(wrong)}")
