"""The nodes' way out: through the uplink, wherever the default route leads now, past the rules of others."""

from __future__ import annotations

import logging
from pathlib import Path

from terrible.net import addresses, foreign, forwarding, ruleset, subnets
from terrible.net.plan import Plan
from terrible.net.tools import has_table, listed, output

log = logging.getLogger(__name__)

ROUTES = "ip -j -4 route show table all"
DEFAULT = "ip -j -4 route show default"
TABLE = Path("/proc/net/route")
"""The main table at the price of a read: whether it is worth asking again."""


class WayOut:
    """Of one bridge. `problem` is why nodes may not get out, one sentence; empty if they should."""

    def __init__(self) -> None:
        self.uplink = ""
        self.problem = ""
        self._rules = ""
        self._seen = ""

    def distrust(self) -> None:
        """Somebody may have changed our rules: load them anew, whatever they say."""
        self._rules = ""

    async def follow(self, plan: Plan, subnet: str) -> None:
        """Go on with the uplink as it is now, if a route has changed."""
        if TABLE.read_text() != self._seen:
            await self.open(plan, subnet)

    async def open(self, plan: Plan, subnet: str) -> None:
        """Rules and forwarding for the uplink as it is now; nothing is touched that is so already."""
        self._seen = TABLE.read_text()
        routes = await listed(ROUTES)
        uplink = plan.uplink or subnets.uplink(await listed(DEFAULT), plan.bridge)
        numbers = {slot.name: slot.number for slot in plan.slots}
        forwards = {one: addresses.address(subnet, numbers[one.slot]) for one in plan.forwards}
        rules = ruleset.routing(plan.bridge, subnet, uplink, forwards)
        if rules != self._rules or not await has_table(ruleset.INET):
            await output("nft -f -", given=rules)
            self._rules = rules
        if uplink != self.uplink:
            log.info("the way out is %s", uplink or "not there: no default route")
        self.uplink = uplink
        await forwarding.restore(but=uplink)
        await forwarding.enable(plan.bridge, uplink)
        blocked = await foreign.open_chains(plan.bridge, plan.forward_chain)
        clash = subnets.clash(subnet, routes, plan.bridge)
        self.problem = blocked or (
            clash and f"{subnet} clashes with {clash} by now; restart to move the cluster"
        )
