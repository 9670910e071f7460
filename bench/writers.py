"""What four emulated Pis can take in this guest at all: bare writers to devices that only swallow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bench.lab import PORTS, Lab
from terrible.sim.families import ZERO
from terrible.sim.pi import Plug
from terrible.sim.wire import WireGone
from terrible.usb import link

MEBIBYTE = 1 << 20
MEGABYTES = 18
"""To each of the four."""


class Swallower:
    """A device in a second stage's place that takes all and looks at nothing."""

    async def power_on(self, plug: Plug) -> None:
        wire = plug.attach(ZERO.loader)
        try:
            while True:
                await wire.take(1)
        except WireGone:
            return

    async def answering(self, wanted: bool) -> None:
        """It never runs."""
        if wanted:
            await asyncio.Event().wait()


@dataclass(frozen=True)
class Writer:
    """One way of writing."""

    way: str
    chunk: int
    depth: int = 1

    def __str__(self) -> str:
        return f"{self.way}, {self.chunk // 1024} KiB" + (f" x {self.depth}" if self.depth > 1 else "")


@dataclass(frozen=True)
class Written:
    """What it reached: MB/s to all four together, and CPU milliseconds per MB."""

    rate: float
    cpu: float


SYNCHRONOUS = Writer("threads", MEBIBYTE)
AS_WE_DO = Writer("events", link.LARGEST, link.DEPTH)
WRITERS = (
    SYNCHRONOUS,
    AS_WE_DO,
    Writer("events", MEBIBYTE),
)


async def measure(lab: Lab, writers: Sequence[Writer] = WRITERS) -> dict[Writer, Written]:
    """Each of them once, to the same four devices."""
    program = await lab.program("writer")
    lab.insert([Swallower() for _ in PORTS])
    await lab.power_on()
    await lab.head.until("[ $(cat /sys/bus/usb/devices/1-1.*/idProduct | grep -c 2764) = 4 ]")
    found = {writer: await _one(lab, program, writer) for writer in writers}
    await lab.power_off()
    return found


async def _one(lab: Lab, program: str, writer: Writer) -> Written:
    argv = ["python3", program, str(MEGABYTES), writer.way, str(writer.chunk), str(writer.depth)]
    told = await lab.ask(argv)
    total = told["bytes"] / 1e6
    return Written(total / told["seconds"], 1000 * told["cpu"] / total)
