"""The network of one head: set up in order, kept as it should be, taken down without a trace.

Everything here asks what is there and mends what differs, so that it can begin anywhere: over nothing, over
what a killed helper has left, over a running network whose configuration has changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Interface

from terrible.errors import HostError
from terrible.net import (
    bridge,
    dnsmasq_files,
    foreign,
    forwarding,
    hostnames,
    interfaces,
    listeners,
    ruleset,
    subnets,
)
from terrible.net.dnsmasq import Dnsmasq, end_leftover
from terrible.net.joining import Joining
from terrible.net.links import Links
from terrible.net.plan import Plan, Standing
from terrible.net.rtnetlink import RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_LINK, RTMGRP_NEIGH
from terrible.net.runfiles import Applied, applied, forget, remember
from terrible.net.tools import listed, need, output
from terrible.net.wayout import ROUTES, WayOut

log = logging.getLogger(__name__)

EVENTS = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE
SETTLE = 0.05
"""Seconds after a look: one arrival is several messages, and the first is the one to hurry for: the client
of a node asks as soon as it has a carrier, and again only after seconds."""
LOOK = 10.0
"""Seconds between two looks without a change: what others do to rules and sysctls tells nobody."""
MEND = 60.0
"""Seconds between two looks at all of it: a firewall that is loaded anew may flush our tables, too."""
AGAIN = 1.0
"""Seconds after something went wrong."""


class Head:
    """The network of a plan. `told` hears how it stands, whenever that has changed."""

    def __init__(self, plan: Plan, told: Callable[[Standing], None]) -> None:
        self.plan, self._told = plan, told
        self.standing = Standing()
        self._subnet = self._names = ""
        self._failed = self._dnsmasq_problem = self._nameless = ""
        self._dnsmasq = Dnsmasq(self._dnsmasq_failed)
        self._way = WayOut()
        self._joining = Joining(plan, self._wake)
        self._links = Links(EVENTS, self._joining.seen)
        self._turn = asyncio.Lock()
        self._mend_at = 0.0
        self._bound = 0
        self._applied: Applied | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def up(self, preferred: str = "") -> None:
        """Set it up, or mend what is not as planned. HostError, with nothing changed, if it cannot be."""
        async with self._turn:
            plan = self.plan
            need()
            subnet = subnets.choose(plan.subnets, preferred, await listed(ROUTES), plan.bridge)
            before = applied()
            if before is not None and (before.bridge, before.mac) != (plan.bridge, plan.mac):
                await take_down(before)
            await bridge.check(plan)
            if before is not None and before.forward_chain != (plan.forward_chain or ""):
                await foreign.close_chains(before.bridge, before.forward_chain or None)
            self._applied = Applied(plan.bridge, plan.mac, subnet, plan.forward_chain or "")
            await self._set_up(subnet)
        if self._keeping is None or self._keeping.done():
            self._links.open()
            self._keeping = asyncio.create_task(self._keep(), name="network")
        self._wake()

    async def _set_up(self, subnet: str) -> None:
        """In this order: who asks for an address is answered by us alone, and may go out at once.

        Repeated now and then, it mends what others have removed; what is as it should be is not touched.
        """
        plan, self._subnet = self.plan, subnet
        if self._applied is not None:
            remember(self._applied)
        await bridge.make(plan, subnet)
        await self._joining.arm()
        await self._way.open(plan, subnet)
        await self._serve(plan, subnet)
        await self._publish(plan, subnet)
        await self._joining.look()
        self._mend_at = asyncio.get_running_loop().time() + MEND
        self._tell()

    async def _serve(self, plan: Plan, subnet: str) -> None:
        """Whatever has happened to the bridge: dnsmasq binds its sockets to the one that is there now."""
        there = interfaces.named(plan.bridge)
        index = there.index if there else 0
        await self._dnsmasq.serve(plan, subnet, anew=index != self._bound)
        self._bound = index

    async def _publish(self, plan: Plan, subnet: str) -> None:
        """A head whose hosts file cannot be written has a network all the same."""
        names, address = dnsmasq_files.fixed(plan, subnet), str(IPv4Interface(subnet).ip)
        try:
            self._names, self._nameless = (
                await hostnames.publish(names, plan.domain, plan.bridge, address),
                "",
            )
        except HostError as error:
            self._names, self._nameless = "", str(error)

    async def take(self, plan: Plan) -> None:
        """A changed configuration for the same bridge."""
        before, self.plan = self.plan, plan
        self._joining.take(plan)
        try:
            await self.up(self._subnet)
        except HostError:
            self.plan = before
            self._joining.take(before)
            raise

    async def mend(self) -> None:
        """Look now at all of it, and put right what others have changed."""
        async with self._turn:
            self._way.distrust()
            self._joining.distrust()
            await self._set_up(self._subnet)

    async def join(self) -> None:
        """Look now at what has come, as the asker believes that something has."""
        async with self._turn:
            await self._joining.look()
            self._tell()

    async def down(self) -> None:
        """Take all of it down."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
            self._links.close()
            self._keeping = None
        async with self._turn:
            await self._joining.stop()
            await self._dnsmasq.stop()
            if (before := applied() or self._applied) is not None:
                await take_down(before)

    # -- while it is up -------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Look whenever something has changed, and now and then; what goes wrong is said and tried again."""
        pause = LOOK
        while True:
            await self._links.changed(pause)
            rest = SETTLE
            try:
                async with self._turn:
                    rest = await self._look()
                pause, self._failed = LOOK, ""
            except Exception as error:
                if str(error) != self._failed:
                    log.warning("%s", error, exc_info=not isinstance(error, HostError | OSError))
                pause, self._failed = AGAIN, str(error) or type(error).__name__
                self._mend_at = 0.0  # all of it again, not only a look
            self._tell()
            await asyncio.sleep(rest)

    async def _look(self) -> float:
        """At interfaces and routes; at everything where the bridge is not as it was, and every minute.

        Seconds to rest after it: who changes the bridge again and again is not raced with.
        """
        stands = bridge.stands(self.plan.bridge, self._subnet)
        if not stands or asyncio.get_running_loop().time() >= self._mend_at:
            await self._set_up(self._subnet)
            return SETTLE if stands else AGAIN
        await self._joining.look()
        self._tell()
        await self._way.follow(self.plan, self._subnet)
        return SETTLE

    def _wake(self) -> None:
        self._links.wake()

    def _dnsmasq_failed(self, why: str) -> None:
        """Who has its ports is the first thing to ask then."""
        others = listeners.listeners(str(IPv4Interface(self._subnet).ip)) if why else []
        self._dnsmasq_problem = "; ".join([why, *map(str, others)])
        self._wake()

    def _tell(self) -> None:
        problems = [self._failed, self._dnsmasq_problem, self._way.problem, self._nameless]
        standing = Standing(
            self._subnet,
            self.plan.bridge,
            self._way.uplink,
            self._names,
            "; ".join(filter(None, problems)),
            self._joining.conflicts(),
            self._joining.joined,
        )
        if standing != self.standing:
            self.standing = standing
            self._told(standing)


async def take_down(before: Applied) -> None:
    """Remove what was set up, by whomever; our accepts elsewhere first, for they lean on our tables.

    What cannot be removed stops nothing of the rest, and is remembered for another try. HostError tells.
    """
    steps = (
        hostnames.withdraw(before.bridge),
        end_leftover(),
        foreign.close_chains(before.bridge, before.forward_chain or None),
        forwarding.restore(),
        output("nft -f -", given=ruleset.removal(ruleset.INET)),
        bridge.remove(before.bridge, before.mac),
        output("nft -f -", given=ruleset.removal(ruleset.GUARD)),
    )
    failed = [why for step in steps if (why := await _failure(step))]
    if failed:
        raise HostError(f"not all of the network is down: {'; '.join(failed)}")
    forget()


async def _failure(step: Awaitable[object]) -> str:
    try:
        await step
    except Exception as error:
        log.warning("%s", error, exc_info=not isinstance(error, HostError | OSError))
        return str(error) or type(error).__name__
    return ""
