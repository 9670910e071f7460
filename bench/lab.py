"""The rig as the bench uses it: one guest for all, four ports switched at once, what a process costs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench import peer
from tests.rig import image
from tests.rig.hub import EmulatedHub, PiModel
from tests.rig.machine import Machine

PORTS = (1, 2, 3, 4)
MEMORY = "1536"
"""MB of the guest: Debian's nodejs and the boot files live in its RAM."""
_TICK = os.sysconf("SC_CLK_TCK")
_SWITCH = "for port in 1 2 3 4; do echo {value} >/sys/bus/usb/devices/1-1:1.0/1-1-port$port/disable; done"


@dataclass(frozen=True)
class Cost:
    """What a process has used so far."""

    cpu: float
    peak: float
    resident: float


class Lab:
    """The guest, its hub, and what is done to both between two runs."""

    def __init__(self, head: Machine, hub: EmulatedHub) -> None:
        self.head, self.hub = head, hub

    async def files(self, directory: str, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            await self.head.put(f"{directory}/{name}", data)

    async def program(self, name: str) -> str:
        """One of `inside/` in the guest; returns its path there."""
        path = f"/bench/{name}.py"
        await self.head.put(path, (image.CHECKOUT / f"bench/inside/{name}.py").read_bytes())
        return path

    async def power_off(self) -> None:
        """All four ports, empty and dark."""
        await self._switch(on=False)
        for port in PORTS:
            self.hub.remove(port)
        await self.head.until("! ls -d /sys/bus/usb/devices/1-1.*")

    async def power_on(self) -> float:
        """All four ports by one command in the guest; returns when the first of them got power."""
        on = asyncio.Event()
        began = [0.0]

        def watch(_: int, powered: bool) -> None:
            if powered and not on.is_set():
                began[0] = asyncio.get_running_loop().time()
                on.set()

        self.head.watch_power(watch)
        try:
            await self._switch(on=True)
        finally:
            self.head.unwatch_power(watch)
        return began[0]

    async def _switch(self, *, on: bool) -> None:
        await self.head.run(["sh", "-c", _SWITCH.format(value=0 if on else 1)])

    def insert(self, pis: Sequence[PiModel]) -> None:
        for port, pi in zip(PORTS, pis, strict=True):
            self.hub.insert(port, pi)

    async def cost(self, pid: int) -> Cost:
        """Of all threads of a process, user and system (proc(5): fields 14 and 15 of stat)."""
        read = await self.head.run(["cat", f"/proc/{pid}/stat", f"/proc/{pid}/status"])
        return parse_cost(read.text)

    async def ask(self, argv: Sequence[str], timeout: float = 120) -> dict[str, Any]:
        """Run a program that prints one line of JSON."""
        answer: dict[str, Any] = json.loads((await self.head.run(argv, timeout=timeout)).stdout)
        return answer


def parse_cost(text: str) -> Cost:
    """`stat` followed by `status`."""
    stat, _, status = text.partition("\n")
    fields = stat.rpartition(")")[2].split()
    sizes = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    peak, resident = (int(sizes[key].split()[0]) / 1000 for key in ("VmHWM", "VmRSS"))
    return Cost((int(fields[11]) + int(fields[12])) / _TICK, peak, resident)


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """One guest with the agent of this checkout, Debian's nodejs and the peer."""
    os.environ.setdefault("RIG_MEMORY", MEMORY)
    built = image.build()
    overlay = image.overlay(built, peer.DEBIAN, {peer.ROOT: peer.tree()})
    async with Machine(overlays=[overlay]) as head, EmulatedHub(head) as hub:
        laboratory = Lab(head, hub)
        await head.until("test -e /sys/bus/usb/devices/1-1:1.0/1-1-port4/disable")
        await laboratory.power_off()
        yield laboratory
