"""Running `ip`, `nft` and their like: changes are rare, so each is a process with a limit."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import Any

from terrible.commands import last_line
from terrible.model import HostError

LIMIT = 10.0
"""Seconds for one command; netlink answers in milliseconds, a lock of the kernel's may be held by others."""


class ToolError(HostError):
    """A command did not do what it was asked for; says which and why."""


async def output(command: str, *more: str, given: str | None = None) -> str:
    """Run to the end and return what it printed; ToolError if it failed, is missing or takes too long.

    Words of `command` are parted by spaces; what may hold some is one of `more`.
    """
    argv = [*command.split(), *more]
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=DEVNULL if given is None else PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
    except OSError as error:
        raise ToolError(
            f"{argv[0]} cannot be run: {error.strerror}; sudo apt install iproute2 nftables"
        ) from None
    try:
        async with asyncio.timeout(LIMIT):
            said, complaint = await process.communicate(given.encode() if given is not None else None)
    except TimeoutError:
        raise ToolError(f"{argv[0]} did not end within {LIMIT:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise ToolError(
            f"{' '.join(argv[:6])}: {_first_line(complaint) or f'exit code {process.returncode}'}"
        )
    return said.decode(errors="replace")


def _first_line(complaint: bytes) -> str:
    """What is wrong; `nft` goes on to show where."""
    return next((last_line(line) for line in complaint.splitlines() if line.strip()), "")


async def listed(command: str) -> list[dict[str, Any]]:
    """What `ip -j …` prints, a dictionary for each entry; it prints nothing where there is none."""
    text = await output(command)
    return [entry for entry in json.loads(text or "[]") if entry]
