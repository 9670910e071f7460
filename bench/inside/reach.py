"""The agent's side of the node network, alone: run by `bench.net` on the head of its laboratory.

`arrivals SOCKET` waits for the node of slot 1 over and over, and prints when it passed which step (seconds
of the monotonic clock, which all namespaces share). `watch SOCKET NODES SECONDS` watches so many nodes that
are up and prints the CPU seconds that took.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from functools import partial
from pathlib import Path

from terrible.cli.loop import _factory
from terrible.limits import Limits
from terrible.model import Location, Slot
from terrible.net import addresses, interfaces
from terrible.net.client import NetHelper
from terrible.net.reach import SlotNetwork
from terrible.sim.families import GADGET
from terrible.sim.hub import SimBus, SimDevice

SUBNET = "10.42.0.1/24"


def slot(number: int) -> Slot:
    mac, host_mac = addresses.mac("lab", number), addresses.host_mac("lab", number)
    return Slot(
        f"node{number}", number, Location(f"1-1.{number}"), mac, host_mac, addresses.address(SUBNET, number)
    )


async def arrivals(network: SlotNetwork) -> None:
    one = slot(1)
    device = SimDevice(SimBus(), one.location, GADGET)
    while True:
        passed: list[tuple[str, float]] = []
        await network.reachable(one, device, partial(_note, passed))
        print(json.dumps({**dict(passed), "up": time.monotonic()}), flush=True)
        while interfaces.at(one.location) is not None:
            await asyncio.sleep(0.01)
        print("gone", flush=True)


def _note(passed: list[tuple[str, float]], step: str) -> None:
    passed.append((step, time.monotonic()))


async def watch(network: SlotNetwork, nodes: int, seconds: float) -> None:
    """A node that is lost ends the run: nothing would be watched any more."""
    before = _cpu()
    watching = [asyncio.create_task(network.lost(slot(number))) for number in range(1, nodes + 1)]
    lost, _ = await asyncio.wait(watching, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    print(json.dumps({"cpu": _cpu() - before, "lost": len(lost)}), flush=True)
    for task in watching:
        task.cancel()
    await asyncio.wait(watching)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main() -> None:
    what, socket, *numbers = sys.argv[1:]
    helper = NetHelper(Path(socket))
    network = SlotNetwork(helper, SUBNET, [slot(number) for number in range(1, 101)], None, Limits())
    network.open()
    following = asyncio.create_task(_follow(network))
    try:
        if what == "arrivals":
            await arrivals(network)
        else:
            await watch(network, int(numbers[0]), float(numbers[1]))
    finally:
        following.cancel()
        network.close()


async def _follow(network: SlotNetwork) -> None:
    async for _ in network.news():
        pass


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=_factory()) as runner:
        runner.run(main())
