"""Running a privileged helper of our own, for an agent that is root and has no units."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from terrible.errors import HostError

START = 10.0
"""Seconds for a helper to listen; Python alone takes one or two on an ARMv6 head."""
STOP = 1.0
"""Seconds for a helper to end after its stdin was closed."""


@asynccontextmanager
async def running(module: str, socket: Path, arguments: Sequence[str]) -> AsyncIterator[None]:
    """Have the helper of a module listen on a socket; HostError where it cannot.

    It ends when its stdin does, and so does not outlive an agent that is killed. In a session of its own,
    for a Ctrl-C is meant for the agent, which still has work for it then.
    """
    command = [sys.executable, "-m", module, "--socket", str(socket), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        await _listening(process, module, socket)
        yield
    finally:
        await _stop(process)
        socket.unlink(missing_ok=True)


async def _listening(process: Process, module: str, socket: Path) -> None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START):
            ready = await process.stdout.readline()
    except TimeoutError:
        ready = b""
    if not ready:
        raise HostError(f"{module} cannot listen on {socket}; its own words are above")


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
