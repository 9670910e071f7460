"""Power for an agent without a configuration: it switches nothing, and hears no alarm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from terrible.model import Location, PowerError, Verdict
from terrible.power.select import NoSwitch
from terrible.seams import HubPort, Trial


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
