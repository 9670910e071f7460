"""What an agent with four nodes up costs while nothing happens. Simulated USB, a real broker, real time.

The simulator's bus needs no healing, and its Pis sleep; for the rest see `bench.rig --only idle`.
"""

from __future__ import annotations

import argparse
import asyncio

from bench import bootfiles
from bench.child import child
from bench.table import Row, show

NODES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of one sample")
    parser.add_argument("--samples", type=int, default=3)
    options = parser.parse_args()
    show("idle agent, simulator", asyncio.run(measure(options.seconds, options.samples)))


async def measure(seconds: float, samples: int) -> list[Row]:
    percent: list[float] = []
    async with child(NODES, 0, bootfiles.sized(18_000_000)) as agent:
        unwanted = (await agent.told())["unwanted"]
        await agent.told()
        await asyncio.sleep(5)
        for _ in range(samples):
            before = agent.cost().cpu
            await asyncio.sleep(seconds)
            percent.append(100 * (agent.cost().cpu - before) / seconds)
        cost = agent.cost()
    return [
        Row("CPU, 4 nodes up, broker connected", percent, "% of a core", 0.1),
        Row("resident, after booting 4 x 18 MB", [cost.resident], "MB", 45),
        Row("its peak", [cost.peak], "MB"),
        Row(f"imported of typer, rich, amqtt: {', '.join(unwanted) or 'none'}", [len(unwanted)], "", 0),
    ]


if __name__ == "__main__":
    main()
