"""The exporter as a process, and its metrics as Prometheus would read them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.mqtt import brokers

LIMIT = 20.0
"""Seconds for what takes one or two; the machine may be busy."""


class Scrape:
    """What one request for metrics brought."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {m.name: m for m in text_string_to_metric_families(text)}

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of the samples of this name with these labels."""
        samples = [s for family in self.families.values() for s in family.samples if s.name == name]
        return [s.value for s in samples if labels.items() <= s.labels.items()]

    def sum(self, name: str, **labels: str) -> float:
        return sum(self.values(name, **labels))


class Exporting:
    """A running exporter."""

    def __init__(self, place: str, process: asyncio.subprocess.Process) -> None:
        self.place, self.process = place, process

    async def scrape(self) -> Scrape:
        return Scrape(await asyncio.to_thread(self._read))

    async def until(self, true: Callable[[Scrape], bool], why: str) -> Scrape:
        """Scrape until it is true; that scrape."""
        began = time.monotonic()
        while time.monotonic() - began < LIMIT:
            try:
                now = await self.scrape()
            except OSError:  # it does not listen yet
                assert self.process.returncode is None, "the exporter has ended"
                continue
            if true(now):
                return now
        raise AssertionError(f"not within {LIMIT} s: {why}")

    def _read(self) -> str:
        with urllib.request.urlopen(f"http://{self.place}/metrics", timeout=LIMIT) as answer:
            assert re.match(r"text/plain; version=[01]\.0\.[04]", answer.headers["Content-Type"])
            text: str = answer.read().decode()
            return text


async def started(*arguments: str, environment: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    """The command in an environment without settings but these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TERRIBLE_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "always::ResourceWarning", "-m", "terrible", "exporter", *arguments),
        env=clean | (environment or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int | None, str]:
    """The exit code of one that ends by itself, and all that it said."""
    process = await started(*arguments, environment=environment)
    said = await asyncio.wait_for(process.communicate(), LIMIT)
    return process.returncode, b"".join(said).decode()


@asynccontextmanager
async def exporting(broker_port: int, *arguments: str, host: str = "127.0.0.1") -> AsyncIterator[Exporting]:
    """One that listens, to a broker that may be there; it ends in peace with the block."""
    place = f"{host}:{brokers.free_port()}"
    process = await started("--broker", f"mqtt://127.0.0.1:{broker_port}", "--listen", place, *arguments)
    try:
        exporter = Exporting(place, process)
        await exporter.until(lambda scrape: True, "it listens")
        yield exporter
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(process.communicate(), LIMIT)
        assert process.returncode == 0, said.decode()
        assert b"Traceback" not in said and b"ResourceWarning" not in said, said.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
