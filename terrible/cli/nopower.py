"""Power for an agent without a configuration: it switches nothing."""

from __future__ import annotations

from terrible.model import Location
from terrible.power.select import NoSwitch
from terrible.seams import HubPort


class NoPower:
    """No switch, wherever it is."""

    async def port(self, location: Location) -> HubPort:
        """A port that stays as it is."""
        return NoSwitch(f"{location} is no configured slot; without a configuration no power is switched")
