"""Asks a node to power itself off, by a command of the head: by default ssh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrible.commands import fill, run
from terrible.errors import BootError
from terrible.model import Slot

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "root@{address}", "poweroff")
"""BatchMode asks nobody for a password; without a key it fails at once and the power is cut anyway."""
_HUNG_UP = "closed by remote host"
"""What ssh says, with status 255, when the node ends the connection on its way down: it has been told."""


class ShutdownCommand:
    """The `seams.Shutdown` of a configuration: an argv template per slot; `limit` in seconds."""

    def __init__(self, commands: Mapping[str, Sequence[str]], limit: float) -> None:
        self._commands, self._limit = commands, limit

    async def shut_down(self, slot: Slot) -> None:
        """Run the slot's command; BootError if it fails, TimeoutError after the limit."""
        argv = fill(self._commands.get(slot.name, ()), slot)
        if not argv:
            raise BootError(f"{slot.name} has no shutdown command")
        try:
            ended = await run(argv, self._limit)
        except OSError as error:
            raise BootError(f"the shutdown command {argv[0]} cannot be run: {error.strerror}") from None
        if ended.code != 0 and _HUNG_UP not in ended.said:
            raise BootError(f"the shutdown command {argv[0]} ended with {ended}")
