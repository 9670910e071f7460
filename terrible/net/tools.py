"""Running `ip`, `nft` and their like: changes are rare, so each is a process with a limit."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import Any

from terrible.commands import last_line
from terrible.errors import HostError

LIMIT = 10.0
"""Seconds for one command; netlink answers in milliseconds, a lock of the kernel's may be held by others."""

PACKAGES = {"ip": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base"}
"""What the network cannot do without, and Debian's package of it."""


class ToolError(HostError):
    """A command did not do what it was asked for; says which and why."""


async def output(command: str, *more: str, given: str | None = None) -> str:
    """Run to the end and return what it printed; ToolError if it failed, is missing or takes too long.

    Words of `command` are parted by spaces; what may hold some is one of `more`.
    """
    words = [*command.split(), *more]
    stdin = DEVNULL if given is None else PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            _program(words[0]), *words[1:], stdin=stdin, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
    except OSError as error:
        raise ToolError(f"{words[0]} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(LIMIT):
            said, complaint = await process.communicate(given.encode() if given is not None else None)
    except TimeoutError:
        raise ToolError(f"{words[0]} did not end within {LIMIT:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        why = _first_line(complaint) or f"exit code {process.returncode}"
        raise ToolError(f"{' '.join(words[:6])}: {why}")
    return said.decode(errors="replace")


def find(name: str) -> str | None:
    """Where a program is; people who became root by `su` may not have the system's on their path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _program(name: str) -> str:
    if (path := find(name)) is None:
        raise ToolError(f"{name} is missing; sudo apt install {PACKAGES.get(name, name)}")
    return path


def _first_line(complaint: bytes) -> str:
    """What is wrong; `nft` goes on to show where."""
    return next((last_line(line) for line in complaint.splitlines() if line.strip()), "")


def need() -> None:
    """ToolError where a program is missing without which the network cannot be."""
    for name in PACKAGES:
        _program(name)


async def has_table(table: str) -> bool:
    """Whether nft has this table, `family name`: a firewall that is loaded anew flushes everybody's."""
    return f"table {table}" in (await output("nft list tables")).splitlines()


async def listed(command: str) -> list[dict[str, Any]]:
    """What `ip -j …` prints, a dictionary for each entry; it prints nothing where there is none."""
    text = await output(command)
    return [entry for entry in json.loads(text or "[]") if entry]
