"""From a device's arrival on the simulated bus to the MQTT message that tells of it, at a subscriber.

The agent, mosquitto and the subscriber are three processes with one clock. Each arrival is followed by one
message: ROM by phase `rom`, LOADER by `loading`, GADGET by `up`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import aiomqtt

from bench import bootfiles
from bench.child import child
from bench.simulated import CLUSTER, Arrival
from bench.table import Row, show

NODES = 4
FOLLOWS = {"rom": "rom", "loader": "loading", "gadget": "up"}
Heard = dict[tuple[str, str], list[float]]
"""Location and phase to the times at which that phase began to be told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="reboots of all four nodes")
    options = parser.parse_args()
    for title, files, together in (
        ("4 x 18 MB at once", bootfiles.sized(18_000_000), True),
        ("4 x 1-byte files at once", bootfiles.tiny(), True),
        ("1-byte files, one node after the other", bootfiles.tiny(), False),
    ):
        delays = asyncio.run(measure(options.rounds, files, together))
        show(f"arrival to message, {len(delays)} arrivals, {title}", rows(delays))


def rows(delays: Sequence[float]) -> list[Row]:
    percentiles = statistics.quantiles([1000 * delay for delay in delays], n=100)
    return [
        Row("p50", [percentiles[49]], "ms", 5),
        Row("p99", [percentiles[98]], "ms", 25),
        Row("worst", [1000 * max(delays)], "ms"),
    ]


async def measure(rounds: int, files: dict[str, bytes], together: bool) -> list[float]:
    async with child(NODES, rounds, files, together=together) as agent:
        heard: Heard = defaultdict(list)
        async with aiomqtt.Client("127.0.0.1", agent.port) as client:
            await client.subscribe(f"terrible/{CLUSTER}/node/+/state", qos=1)
            listening = asyncio.create_task(_listen(client, heard))
            await agent.told()
            heard.clear()
            arrivals = (await agent.told())["arrivals"]
            await asyncio.sleep(0.5)
            listening.cancel()
    return list(match(map(tuple, arrivals), heard))


async def _listen(client: aiomqtt.Client, heard: Heard) -> None:
    last: dict[str, str] = {}
    async for message in client.messages:
        now = time.monotonic()
        state = json.loads(bytes(message.payload))
        location, phase = state["location"], state["phase"]
        if last.get(location) != phase:
            heard[location, phase].append(now)
        last[location] = phase


def match(arrivals: Iterable[Arrival], heard: Heard) -> Iterable[float]:
    """The n-th arrival of a stage at a location goes with the n-th beginning of its phase there."""
    plugged: Heard = defaultdict(list)
    for location, stage, at in arrivals:
        plugged[location, FOLLOWS[stage]].append(at)
    for key, times in plugged.items():
        if len(times) != len(heard[key]):
            raise RuntimeError(f"{key}: {len(times)} arrivals, but {len(heard[key])} messages")
        yield from (told - at for at, told in zip(times, heard[key], strict=True))


if __name__ == "__main__":
    main()
