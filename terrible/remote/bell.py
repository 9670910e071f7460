"""Something has been heard: whoever waits for that looks again."""

from __future__ import annotations

import asyncio


class Bell:
    """Rung at every message; each ring wakes all that wait."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake all that wait now; the next ring wakes those that wait then."""
        self._rung.set()
        self._rung = asyncio.Event()

    async def heard(self, limit: float | None) -> bool:
        """Return at the next ring, True, or after `limit` seconds, False."""
        rung = self._rung
        try:
            async with asyncio.timeout(limit):
                await rung.wait()
        except TimeoutError:
            return False
        return True
