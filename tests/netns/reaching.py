"""The agent's side of the network over one slot, run on the head: says each step, `up`, and `lost`.

`python -m tests.netns.reaching SOCKET SLOT PORT`; port 0 is none. A node is lost after half a second here.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from terrible.limits import Limits
from terrible.model import Location, Slot
from terrible.net import addresses
from terrible.net.client import NetHelper
from terrible.net.reach import SlotNetwork
from terrible.sim.families import GADGET
from terrible.sim.hub import SimBus, SimDevice

from .lab import CLUSTER, address, location

SUBNET = "10.42.0.1/24"


def say(word: str) -> None:
    print(word, flush=True)


async def main(socket: str, number: int, port: int) -> None:
    mac, host_mac = addresses.mac(CLUSTER, number), addresses.host_mac(CLUSTER, number)
    slot = Slot(f"node{number}", number, Location(location(number)), mac, host_mac, address(number))
    limits = Limits(ping_every=0.1, lost_after=0.5)
    network = SlotNetwork(NetHelper(Path(socket)), SUBNET, [slot], port or None, limits)
    network.open()
    telling = asyncio.create_task(follow(network))
    try:
        while True:
            say(f"up {await network.reachable(slot, SimDevice(SimBus(), slot.location, GADGET), say)}")
            await network.lost(slot)
            say("lost")
    finally:
        telling.cancel()
        network.close()


async def follow(network: SlotNetwork) -> None:
    async for news in network.news():
        say(f"news {news.subnet} {news.problem.message if news.problem else ''}".strip())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
