"""The agent on a real USB stack, against the best that this stack allows and against npm's usbboot.

One guest for everything. It takes about 25 minutes with the defaults on 2 cores; `--only` picks parts.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from bench import bootfiles, peer, rounds, service, stalls
from bench.lab import Lab, lab
from bench.table import Row, show

Part = Callable[[Lab, argparse.Namespace], Awaitable[list[Row]]]


async def _light(laboratory: Lab, options: argparse.Namespace) -> list[Row]:
    return rounds.light(await rounds.play(laboratory, 18, options.rounds))


async def _heavy(laboratory: Lab, options: argparse.Namespace) -> list[Row]:
    return rounds.heavy(await rounds.play(laboratory, 60, options.rounds))


async def _stalls(laboratory: Lab, options: argparse.Namespace) -> list[Row]:
    return await stalls.measure(laboratory, options.rounds)


async def _idle(laboratory: Lab, options: argparse.Namespace) -> list[Row]:
    return await service.measure(laboratory, options.seconds, samples=2)


PARTS: dict[str, tuple[str, Part]] = {
    "18": ("4 nodes x 18 MB, rig", _light),
    "60": ("4 nodes x 60 MB, rig", _heavy),
    "stalls": ("longest stall of the loop, four boots of 18 MB, rig", _stalls),
    "idle": ("idle `terrible run`, rig (an emulated processor)", _idle),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of everything that is repeated")
    parser.add_argument("--seconds", type=float, default=60, help="of one look at the idle agent")
    parser.add_argument("--only", choices=PARTS, nargs="*", default=list(PARTS))
    asyncio.run(_run(parser.parse_args()))


async def _run(options: argparse.Namespace) -> None:
    async with lab() as laboratory:
        await laboratory.files(rounds.TINY, bootfiles.tiny())
        await laboratory.head.put(peer.BOOTCODE, bootfiles.sized(18_000_000)["bootcode.bin"])
        for name in options.only:
            title, part = PARTS[name]
            show(title, await part(laboratory, options))


if __name__ == "__main__":
    main()
