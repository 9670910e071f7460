"""Which backend a slot gets where the configuration names one."""

from __future__ import annotations

from collections.abc import Mapping

from terrible.model import Location
from terrible.power.select import NoSwitch
from terrible.seams import HubPort, Power


class ChosenPower:
    """The backend that a slot names, or else the one that finds the best by itself."""

    def __init__(self, named: Mapping[Location, Power], automatic: Power) -> None:
        self._named = named
        self._automatic = automatic

    async def port(self, location: Location) -> HubPort:
        """The switch of that location by its own backend."""
        return await self._named.get(location, self._automatic).port(location)


class Unswitched:
    """Slots that the configuration says nobody can switch."""

    async def port(self, location: Location) -> NoSwitch:
        """A port that stays as it is."""
        return NoSwitch(f'the configuration says power = "none" for {location}; switch it by hand')
