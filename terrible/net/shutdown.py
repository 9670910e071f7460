"""Asks a node to power itself off, by a command of the head: by default ssh."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence

from terrible.model import BootError, Slot

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "root@{address}", "poweroff")
"""BatchMode asks nobody for a password; without a key it fails at once and the power is cut anyway."""
_HUNG_UP = b"closed by remote host"
"""What ssh says, with status 255, when the node ends the connection on its way down: it has been told."""


class ShutdownCommand:
    """The `seams.Shutdown` of a configuration: an argv template per slot, and one for all others."""

    def __init__(self, default: Sequence[str], own: Mapping[str, Sequence[str]]) -> None:
        self._default, self._own = default, own

    async def shut_down(self, slot: Slot) -> None:
        """Run the command; BootError if it fails."""
        argv = [part.format(**_values(slot)) for part in self._own.get(slot.name, self._default)]
        if not argv:
            raise BootError(f"{slot.name} has no shutdown command")
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True
            )
        except OSError as error:
            raise BootError(f"the shutdown command {argv[0]} cannot be run: {error.strerror}") from None
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            await _kill(process)
            raise
        if process.returncode and _HUNG_UP not in said:
            raise BootError(
                f"the shutdown command {argv[0]} ended with {process.returncode}: {_last_line(said)}"
            )


def _last_line(said: bytes) -> str:
    last = said.decode(errors="replace").strip().splitlines()[-1:] or ["without a word"]
    return "".join(letter if letter.isprintable() else "?" for letter in last[0])


def _values(slot: Slot) -> dict[str, str]:
    return {"name": slot.name, "number": str(slot.number), "address": slot.address, "location": slot.location}


async def _kill(process: Process) -> None:
    """It and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
