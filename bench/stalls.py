"""How long the agent's loop looks away from USB while four Pis boot, and what it does then."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench import bootfiles, boots
from bench.boots import Contestant
from bench.lab import Lab
from bench.table import Row

REPORT = "/stalls.json"
DIRECTORY = "/files-stalls"
LOOPS = ("asyncio", "uvloop")


async def measure(lab: Lab, rounds: int) -> list[Row]:
    """Turns on asyncio's loop; the blocking calls on both loops."""
    files = bootfiles.sized(18_000_000)
    await lab.files(DIRECTORY, files)
    program = await lab.program("stalls")
    rows: list[Row] = []
    for loop in LOOPS:
        command = ("python3", program, REPORT, loop, "-l", "-d", DIRECTORY)
        reports = []
        for _ in range(rounds):
            await boots.run(lab, Contestant(f"terrible serve on {loop}", command), files)
            reports.append(json.loads(await lab.head.get(REPORT)))
        rows += _rows(loop, reports)
        _tell(loop, reports)
    await lab.head.run(["rm", "-r", DIRECTORY])
    return rows


def _rows(loop: str, reports: Sequence[Mapping[str, Any]]) -> list[Row]:
    turns: list[Row] = []
    if loop == "asyncio":
        longest = [report["turns"][0] for report in reports]
        turns.append(Row("asyncio: longest turn of the loop", [turn["ms"] for turn in longest], "ms"))
        turns.append(Row("asyncio: CPU of the loop's thread in it", [turn["cpu"] for turn in longest], "ms"))
    calls: dict[str, list[float]] = defaultdict(list)
    for report in reports:
        for name, took in report["longest"].items():
            calls[name].append(took)
    each = [Row(f"{loop}: longest {name}", took, "ms") for name, took in sorted(calls.items())]
    return turns + each


def _tell(loop: str, reports: Sequence[Mapping[str, Any]]) -> None:
    """What ran in the longest turns: the blocking calls, longest first."""
    for report in reports if loop == "asyncio" else ():
        for turn in report["turns"][:3]:
            calls = ", ".join(f"{name} {took} ms" for name, took in turn["calls"]) or "no blocking call"
            print(f"turn of {turn['ms']} ms, {turn['cpu']} ms CPU: {calls}")
