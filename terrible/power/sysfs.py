"""Ports switched by the kernel's own `disable` attribute (Linux >= 6.0), which the helper writes for us.

The best switch there is: the kernel disconnects the device itself before it cuts the power, so that
everybody hears of it, and leaves the port alone until it is enabled again (Linux f061f43d7418).
"""

from __future__ import annotations

from terrible.errors import PowerError
from terrible.model import Location
from terrible.power.client import PortHelper
from terrible.power.together import naming
from terrible.power.topology import Topology


class SysfsPort:
    """The switch of one location; `together` is all that is switched with it, itself too."""

    backend = "sysfs"

    def __init__(
        self,
        location: Location,
        together: frozenset[Location],
        helper: PortHelper,
        topology: Topology,
        why: str,
    ) -> None:
        self.why = why
        self._location = location
        self._together = together
        self._helper = helper
        self._topology = topology

    def affects(self) -> frozenset[Location]:
        """Every location that loses power with this one."""
        return self._together

    async def switch(self, on: bool) -> None:
        """Switch and verify. A gang loses power with its last port, so all of it goes (USB 2.0, 11.11.1)."""
        for location in sorted(self._together):
            with naming(location, self._location):
                disabled = await self._helper.disable(location, value=not on)
            if disabled is on:
                raise PowerError(f"{location} still reports {'no ' * on}power after it was switched")
            if not on and (devnum := self._topology.devnum(location)) is not None:
                raise PowerError(f"{location} reports no power, but its device {devnum} is still there")

    async def powered(self) -> bool | None:
        """What the kernel says, None where the helper gets no answer."""
        try:
            return not await self._helper.disabled(self._location)
        except PowerError:
            return None
