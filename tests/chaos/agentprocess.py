"""A process that starts agents: each line it reads forks one, whose number it prints.

    python -m tests.chaos.agentprocess SOCKET BOOTFILES STATE SLOTS SPEED

A fork costs milliseconds where an interpreter costs half a second, and starts as empty: nothing of an
agent is ever made in the process that forks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli.demo import hurried
from terrible.cli.nothing import NoDisks, NoProber
from terrible.limits import Limits
from terrible.sim.alarms import SimAlarms
from terrible.sim.cluster import hub_locations
from terrible.state import State
from terrible.usb.bootfiles import BootFiles
from terrible.usb.layers import Roots
from tests.chaos.remote import RemoteWorld, connected
from tests.cluster import INFO, make_slots


@dataclass(frozen=True)
class Orders:
    """What the agents are started with."""

    socket: Path
    base: Path
    state: Path
    slots: int
    speed: float


async def agent(orders: Orders) -> None:
    """One agent, until it is killed or the simulator is gone."""
    remote = await connected(orders.socket)
    slots = make_slots(hub_locations("1-1", orders.slots))
    world = RemoteWorld(remote)
    limits = hurried(Limits(), orders.speed)
    means = Means(BootFiles(Roots(orders.base), slots, "test"), world, limits)
    outside = World(remote.bus, world, SimAlarms(), world, world, means, NoProber(), NoDisks())
    running = Agent(outside, slots, INFO, State(orders.state))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(remote.listen())
        tasks.create_task(running.run())


def main(arguments: list[str]) -> None:
    socket, base, state, slots, speed = arguments
    orders = Orders(Path(socket), Path(base), Path(state), int(slots), float(speed))
    logging.disable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for _ in sys.stdin:
        if (child := os.fork()) == 0:
            asyncio.run(agent(orders))
        print(child, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
