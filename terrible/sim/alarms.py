"""What simulated hardware complains about: whatever it is told to (seams.Alarms)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from terrible.model import Location


class SimAlarms:
    """Ports that drew too much, and a supply that is weak for as long as `weak` says so."""

    def __init__(self) -> None:
        self.weak = ""
        self._overcurrents: asyncio.Queue[Location] = asyncio.Queue()

    async def overcurrents(self) -> AsyncIterator[Location]:
        """Each port that drew too much, as it does."""
        while True:
            yield await self._overcurrents.get()

    def undervoltage(self) -> str:
        """Why the supply is too weak now; empty where it is not."""
        return self.weak

    def draw_too_much(self, location: Location) -> None:
        """A short at this port."""
        self._overcurrents.put_nowait(location)
