"""What an agent without a configuration has: it switches nothing, hears no alarm and writes no card."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from terrible.errors import BootError, HostError, PowerError
from terrible.model import CardNews, Location, Slot, Verdict
from terrible.power.select import NoSwitch
from terrible.seams import Card, HubPort, Trial


class NoPower:
    """No switch, wherever it is."""

    async def port(self, location: Location) -> HubPort:
        """A port that stays as it is."""
        return NoSwitch(_none(location))


class NoProber:
    """No switch to find out anything of."""

    async def trial(self, location: Location, before: Verdict | None) -> Trial | None:
        """PowerError with the reason."""
        raise PowerError(_none(location))


class NoDisks:
    """No card that could be written."""

    async def check(self, image: str) -> None:
        """HostError with the reason."""
        raise HostError("this agent writes no cards: files.mass_storage is not set (docs/flash.md)")

    async def look(self, image: str) -> None:
        """Never asked for."""

    @asynccontextmanager
    async def open(self, slot: Slot) -> AsyncIterator[Card]:
        """Never one."""
        raise BootError("this agent writes no cards")
        yield  # never: it makes this a context manager

    async def write(self, image: str, cards: Sequence[Card]) -> AsyncIterator[CardNews]:
        """Never asked for."""
        return
        yield CardNews("")  # never: it makes this an iterator


class NoAlarms:
    """Nothing that could be cut, so nothing to listen for."""

    async def overcurrents(self) -> AsyncIterator[Location]:
        """Never one."""
        await asyncio.Event().wait()
        yield Location("1-1")  # never: it makes this an iterator

    def undervoltage(self) -> str:
        """Nothing waits for power, so nothing is asked."""
        return ""


def _none(location: Location) -> str:
    return f"{location} is no configured slot; without a configuration no power is switched"
