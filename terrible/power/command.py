"""Ports switched by a command of the owner: smart plugs, relay boards, whatever has a program.

The words of a command are passed on as they are, without a shell, with `{slot}`, `{location}` and
`{number}` filled in.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrible.commands import Ended, fill, run
from terrible.errors import HostError, PowerError
from terrible.model import Location, Slot

SETTLE = 2.0
"""Seconds for the status to follow a switch; a plug on a radio does not know at once."""
STEP = 0.5
"""Seconds between two looks at the status: each starts a process."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The argv templates, and the seconds each may take. Without `status` nobody can tell what is on."""

    on: Sequence[str]
    off: Sequence[str]
    status: Sequence[str] | None
    timeout: float

    def check(self) -> None:
        """HostError where a program is not there, for a slot would find out only when it must be cut."""
        for key in ("on", "off", "status"):
            argv = getattr(self, key)
            if argv and "{" not in argv[0] and shutil.which(argv[0]) is None:
                raise HostError(
                    f"power.command.{key}: there is no program {argv[0]!r} that this user can run; "
                    "install it, or name it with its full path"
                )


class CommandPort:
    """The switch of one slot."""

    backend = "command"
    why = "the configuration names the commands that switch this slot"

    def __init__(self, slot: Slot, commands: Commands) -> None:
        self._slot = slot
        self._commands = commands

    def affects(self) -> frozenset[Location]:
        """Its own location: what else the command cuts, only its owner knows."""
        return frozenset({self._slot.location})

    async def switch(self, on: bool) -> None:
        """Run the command, then ask `status` where there is one."""
        word = "on" if on else "off"
        ended = await self._run(word, self._commands.on if on else self._commands.off)
        if ended.code != 0:
            raise PowerError(f"the command that switches {self._slot.name} {word} ended with {ended}")
        if self._commands.status is not None:
            await self._verify(self._commands.status, word)

    async def powered(self) -> bool | None:
        """What `status` says by its exit code: 0 on, 1 off, None for all else and where it fails."""
        if self._commands.status is None:
            return None
        try:
            return _state(await self._run("status", self._commands.status))
        except PowerError:
            return None

    async def _verify(self, status: Sequence[str], word: str) -> None:
        for _ in range(round(SETTLE / STEP)):
            ended = await self._run("status", status)
            if _state(ended) is (word == "on"):
                return
            await asyncio.sleep(STEP)
        raise PowerError(
            f"{self._slot.name} was switched {word}, but its status command does not say so: {ended}"
        )

    async def _run(self, key: str, template: Sequence[str]) -> Ended:
        argv = fill(template, self._slot)
        try:
            return await run(argv, self._commands.timeout)
        except TimeoutError:
            what = f"did not end within {self._commands.timeout:g} s and was killed"
        except OSError as error:
            what = f"cannot be run: {argv[0]}: {error.strerror}"
        raise PowerError(f"power.command.{key} for {self._slot.name} {what}")


class CommandPower:
    """The `Power` of slots with commands."""

    def __init__(self, slots: Mapping[Location, Slot], commands: Commands) -> None:
        commands.check()
        self._slots = slots
        self._commands = commands

    async def port(self, location: Location) -> CommandPort:
        """The switch of the slot there."""
        return CommandPort(self._slots[location], self._commands)


def _state(ended: Ended) -> bool | None:
    return {0: True, 1: False}.get(ended.code)
