"""`bench.simulated` as a child with a mosquitto of its own, and what it tells."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.lab import Cost, parse_cost
from tests.mqtt.brokers import Mosquitto


class Child:
    """The agent's process; `port` is its broker's."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self._process = process

    async def told(self, limit: float = 600) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout
        line = await asyncio.wait_for(self._process.stdout.readline(), limit)
        if not line:
            raise RuntimeError("the agent's process has ended")
        said: dict[str, Any] = json.loads(line)
        return said

    def cost(self) -> Cost:
        """CPU of all its threads to the nanosecond where the kernel counts so, its memory from proc(5)."""
        proc = Path(f"/proc/{self._process.pid}")
        rough = parse_cost((proc / "stat").read_text() + (proc / "status").read_text())
        spent = [int((task / "schedstat").read_text().split()[0]) for task in (proc / "task").iterdir()]
        return Cost(sum(spent) / 1e9, rough.peak, rough.resident)


@asynccontextmanager
async def child(
    nodes: int, rounds: int, files: Mapping[str, bytes], *, together: bool = True
) -> AsyncIterator[Child]:
    """From start to SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="terrible-bench-") as scratch:
        directory = Path(scratch, "files")
        write(directory, files)
        broker = Mosquitto(Path(scratch))
        await broker.start()
        numbers = [str(broker.port), str(nodes), str(rounds), str(directory), str(int(together))]
        argv = [sys.executable, "-m", "bench.simulated", *numbers]
        null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=null, limit=1 << 24)
        try:
            yield Child(process, broker.port)
        finally:
            process.terminate()
            await process.wait()
            await broker.kill()


def write(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
