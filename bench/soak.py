"""`terrible soak` on the rig: a real kernel and hub, four emulated Pis of which each now and then fails.

`python -m bench.soak --cycles 10 --out DIRECTORY` prints the report of the soak.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from bench import bootfiles, boots
from bench.lab import PORTS, Lab, lab
from bench.service import COMMAND, CONFIG
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from tests.mqtt.brokers import Mosquitto

DIRECTORY = "/files-soak"
LIMITS = "\n[limits]\ncycles_per_hour = 100000\ncycle_every = 1\nshutdown = 1\npauses = [1, 1, 1]\n"
"""The owner of a test may hurry what protects the owner of a cluster."""


async def _soak(lab: Lab, cycles: int, chance: float, out: str) -> int:
    await lab.files(DIRECTORY, bootfiles.sized(18_000_000))
    with tempfile.TemporaryDirectory(prefix="terrible-bench-") as scratch:
        broker = Mosquitto(Path(scratch))
        await broker.start()
        config = CONFIG.format(port=broker.port, directory=DIRECTORY) + LIMITS
        await lab.head.put("/etc/terrible.toml", config.encode())
        fault = Fault(Kind.BOOTCODE_STALLS, times=None, chance=chance)
        lab.insert([Pi(timing=boots.TIMING, order=bootfiles.FIRMWARE, faults=[fault]) for _ in PORTS])
        async with lab.head.spawn(COMMAND) as process:
            where = ["--broker", f"mqtt://127.0.0.1:{broker.port}", "--cluster", "rig", "--out", out]
            soak = [sys.executable, "-m", "terrible", "soak", "all", "--cycles", str(cycles), *where]
            code = await (await asyncio.create_subprocess_exec(*soak)).wait()
            await process.signal()
            await process.wait()
        await broker.kill()
    return code


async def _run(cycles: int, chance: float, out: str) -> int:
    async with lab() as laboratory:
        code = await _soak(laboratory, cycles, chance, out)
    print((Path(out) / "report.md").read_text())
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=10, help="of each of the four nodes")
    parser.add_argument("--chance", type=float, default=0.05, help="of a bootcode that stalls")
    parser.add_argument("--out", default="soak-rig", help="a new directory for the report")
    options = parser.parse_args()
    return asyncio.run(_run(options.cycles, options.chance, options.out))


if __name__ == "__main__":
    sys.exit(main())
