"""The command line as a process, beside a real agent on simulated Pis and a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from terrible.cli import demo
from terrible.cli.soak import limits
from terrible.mqtt.address import BrokerAddress
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi, Timing
from tests.cluster import boot_directory
from tests.mqtt import brokers

SPEED = 50.0
BASE = f"terrible/{demo.CLUSTER}"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that it complains in."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("terrible: ")
        return self.err


@asynccontextmanager
async def agent(base: Path, port: int, nodes: int = 2, fault: Kind | None = None) -> AsyncIterator[None]:
    """A real agent; `fault` strikes the last of its Pis at every boot."""
    timing = Timing().scaled(SPEED)
    faults = [Fault(fault, None, 1.0)] if fault else []
    pis = [Pi(timing=timing, faults=faults if number == nodes else []) for number in range(1, nodes + 1)]
    simulated = demo.Simulated(pis, SPEED, limits(SPEED))
    async with demo.cluster(simulated, boot_directory(base / "boot"), BrokerAddress("127.0.0.1", port)):
        yield


@asynccontextmanager
async def head(
    base: Path, kind: str = "mosquitto", nodes: int = 2, fault: Kind | None = None
) -> AsyncIterator[brokers.Broker]:
    """A broker with an agent that has told of all its slots, each where it will stay for now."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(brokers.running(brokers.make(kind, base)))
        await stack.enter_async_context(agent(base, broker.port, nodes, fault))
        observer = await stack.enter_async_context(brokers.observing(broker.port))
        await brokers.until(
            lambda: all(f"{BASE}/node/node{n}/boot" in observer.held for n in range(1, nodes + 1)),
            why="every slot has made its first attempt",
        )
        yield broker


@asynccontextmanager
async def terrible(port: int, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    """One command, its output piped, for the length of the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command(arguments), env=surroundings(port, **environment), stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def ran(port: int, *arguments: str, **environment: str) -> Ended:
    """One command to its end."""
    async with terrible(port, *arguments, **environment) as process:
        return await ended(process)


async def ended(process: Process) -> Ended:
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def line(process: Process, wanted: str) -> list[str]:
    """Its next lines, up to one that begins as wanted."""
    assert process.stdout is not None
    seen: list[str] = []
    async with asyncio.timeout(20):
        while not (seen and seen[-1].startswith(wanted)):
            read = await process.stdout.readline()
            assert read, f"it ended after {seen}"
            seen.append(read.decode().rstrip())
    return seen


def command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "terrible", *arguments]


def surroundings(port: int, **environment: str) -> dict[str, str]:
    """Nothing of this machine's own TERRIBLE_… variables, and the broker on this port if there is one."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("TERRIBLE_")}
    broker = {"TERRIBLE_BROKER": f"mqtt://127.0.0.1:{port}"} if port else {}
    return {**own, "PYTHONWARNINGS": "default", "PYTHONIOENCODING": "utf-8", **broker, **environment}


class Terminal:
    """A command on a terminal of 80 columns."""

    def __init__(self, port: int, *arguments: str) -> None:
        self.raw = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            command(arguments),
            env=surroundings(port, TERM="xterm", COLUMNS="80"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    @property
    def lines(self) -> list[str]:
        """All that was ever on it, without colours and movements."""
        return _ESCAPES.sub("", self.raw).replace("\r", "\n").split("\n")

    async def until(self, wanted: str) -> None:
        """Until this appears after what has been waited for so far."""
        start = len(self.raw)
        await brokers.until(lambda: wanted in _ESCAPES.sub("", self.raw[start:]), 20, f"{wanted}: {self.raw}")

    async def interrupted(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        await brokers.until(lambda: self.process.poll() is not None, why="it ends")
        return int(self.process.returncode)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self) -> None:
        try:
            self.raw += os.read(self._ours, 65536).decode(errors="replace")
        except OSError:  # EIO: the other end is closed
            asyncio.get_running_loop().remove_reader(self._ours)
