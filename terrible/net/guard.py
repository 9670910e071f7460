"""Nodes that answer like a server: their answers are dropped, and counted for each port."""

from __future__ import annotations

import json

from terrible.net import ruleset
from terrible.net.tools import has_table, output

LOOK = 15.0
"""Seconds between two looks at the counters."""
QUIET = 120.0
"""Seconds without an answer after which a node is a rogue no longer: `rpi-usb-gadget` gives up by itself."""


class Guard:
    """Counts what `bridge terrible` has dropped. Ports are known by their names, as nft has them."""

    def __init__(self) -> None:
        self._armed = False
        self._counts: dict[str, int] = {}
        self._last: dict[str, float] = {}

    async def arm(self, ports: list[str]) -> None:
        """From now on these ports are guarded, and every other that is told of; what is armed stays so."""
        if not self._armed or not await has_table(ruleset.GUARD):
            self._counts, self._armed = {}, True
            await output("nft -f -", given=ruleset.guard(ports))

    def distrust(self) -> None:
        """Somebody may have changed our rules: load them anew, whatever they say."""
        self._armed = False

    async def arm_port(self, port: str) -> None:
        """One more, before it joins."""
        await output("nft -f -", given=ruleset.guarded(port))

    async def forget(self, port: str) -> None:
        """It has left."""
        self._counts.pop(port, None)
        self._last.pop(port, None)
        await output("nft -f -", given=ruleset.unguarded(port))

    async def look(self, now: float) -> dict[str, int]:
        """The ports that have answered like a server of late, and how many answers of each were dropped."""
        counts = ruleset.refused(json.loads(await output("nft", "-j", "list", *ruleset.REFUSED)))
        for port, count in counts.items():
            if count > self._counts.get(port, 0):
                self._last[port] = now
        self._counts = counts
        return {port: counts.get(port, 0) for port, last in self._last.items() if now - last < QUIET}
