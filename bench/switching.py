"""The agent on simulated Pis, as a process that tells when a port is switched: what bench.mqtt measures.

`python -m bench.switching PORT NODES DIRECTORY` prints a line for each port that is switched: location, on
or off, and the time of the clock that all processes share; and `{"ready": true}` once all nodes are up.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.bootfiles import FIRMWARE
from bench.simulated import TIMING, agent
from terrible.cli.loop import run as run_loop
from terrible.limits import Limits
from terrible.model import Location
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.pi import Pi
from terrible.sim.port import SimPort

# What would else be waited for: the path from the message to the switch is what is measured.
HURRIED = Limits(off_time=0.01, cycle_every=0.01, cycles_per_hour=1_000_000)


def main(port: str, nodes: str, directory: str) -> int:
    return run_loop(lambda: _show(int(port), int(nodes), Path(directory)))


async def _show(port: int, nodes: int, directory: Path) -> None:
    pis = [Pi(timing=TIMING, order=FIRMWARE) for _ in range(nodes)]
    cluster = SimCluster(plugged(pis))
    for location, switch in cluster.ports.items():
        _tell_of(location, switch)
    running = asyncio.create_task(agent(cluster, port, directory, HURRIED).run(), name="agent")
    try:
        await asyncio.gather(*(pi.answering(True) for pi in pis))
        await asyncio.sleep(1)
        _say(ready=True)
        await running
    finally:
        running.cancel()
        await asyncio.wait({running})
        await cluster.close()


def _tell_of(location: Location, port: SimPort) -> None:
    switch = port.power

    async def told(on: bool) -> None:
        _say(location=location, on=on, at=time.monotonic())
        await switch(on)

    setattr(port, "power", told)  # noqa: B010 - mypy forbids to assign a method


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
