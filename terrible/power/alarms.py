"""What the head's hardware complains about by itself (`seams.Alarms`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

from terrible.model import Location
from terrible.power.hub import HubControl
from terrible.power.overcurrent import Overcurrents
from terrible.power.topology import Topology
from terrible.power.undervoltage import undervoltage


class HardwareAlarms:
    """Over-current at these locations, those of the slots, and the head's own supply."""

    def __init__(
        self, control: HubControl, locations: Collection[Location], sysfs: Path = Path("/sys")
    ) -> None:
        self._control, self._locations, self._sysfs = control, locations, sysfs

    def overcurrents(self) -> AsyncIterator[Location]:
        """Every slot's port that drew too much, each time it did, from now on; it never ends by itself."""
        return Overcurrents(Topology(self._sysfs), self._control, self._locations).watch()

    def undervoltage(self) -> str:
        """Why the head's own supply is too weak now, one sentence; empty where it is not, or cannot tell."""
        return undervoltage(self._sysfs)
