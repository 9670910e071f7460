"""Commands of the owner: words with placeholders, run without a shell, within a limit, and killed whole."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from terrible.model import Slot

PLACEHOLDERS = ("slot", "number", "location", "address")
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
TAIL = 4096
"""Bytes of stderr that are kept; only the last line is shown."""
SHOWN = 200
"""Characters of that line."""
GRACE = 0.5
"""Seconds for a killed child to end, and for the last words of one: what it left may hold the pipe."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: `code` as subprocess has it, below 0 for a signal; the last line of stderr."""

    code: int
    said: str

    def __str__(self) -> str:
        how = f"exit code {self.code}" if self.code >= 0 else f"signal {-self.code}"
        return f"{how}: {self.said}" if self.said else how


def check(argv: Sequence[str]) -> None:
    """ValueError for words that can be no command, or with a placeholder that nobody knows."""
    if argv and not argv[0]:
        raise ValueError("the first word is the program, and must not be empty")
    if any("\0" in word for word in argv):
        raise ValueError("no word of a command can hold a NUL character")
    unknown = {name for word in argv for name in re.findall(r"\{(\w+)\}", word)} - {*PLACEHOLDERS}
    if unknown:
        allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"unknown placeholder {{{min(unknown)}}}; allowed here: {allowed}")


def fill(template: Sequence[str], slot: Slot) -> list[str]:
    """The words of a command for one slot; other braces, as of JSON, stay as they are."""
    values = {
        "slot": slot.name,
        "number": str(slot.number),
        "location": str(slot.location),
        "address": slot.address,
    }
    return [_PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in template]


async def run(argv: Sequence[str], limit: float) -> Ended:
    """Run to the end; TimeoutError after `limit` seconds, its whole process group killed by then.

    A pipe of our own, for `Process.wait` of Python 3.11 waits for what a child left behind to close its.
    """
    reading, writing = os.pipe()
    tail = _Tail()
    pipe = os.fdopen(reading, "rb", buffering=0)  # the transport closes it
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: tail, pipe)
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=DEVNULL, stdout=DEVNULL, stderr=writing, start_new_session=True
            )
        finally:
            os.close(writing)
        code = await _wait(process, limit)
        await asyncio.wait({tail.ended}, timeout=GRACE)
    finally:
        transport.close()
    return Ended(code, last_line(bytes(tail.data)))


class _Tail(asyncio.Protocol):
    """The end of what a child says; the rest is read too, or the child would wait for us."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data
        del self.data[:-TAIL]

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def _wait(process: Process, limit: float) -> int:
    """The exit code; whatever ends the wait before it ends the group, children of a script too."""
    try:
        async with asyncio.timeout(limit):
            return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.wait({asyncio.create_task(process.wait())}, timeout=GRACE)


def last_line(data: bytes) -> str:
    """The last line that is not empty, at most 200 characters, with control characters escaped."""
    lines = [line.strip() for line in data.decode(errors="backslashreplace").splitlines()]
    line = next((line for line in reversed(lines) if line), "")[:SHOWN]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
