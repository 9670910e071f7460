"""Up means reachable: carrier, then an address, then an answer, then, where that is asked for, a service.

The agent's side of the node network (`seams.Network`). It changes nothing: whoever may, `terrible-net`, is
asked, and what has become of it is seen in sysfs, in the lease file and by asking the node.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from terrible.errors import Code, HostError, Problem
from terrible.limits import Limits
from terrible.model import NetworkNews, Slot
from terrible.net import echo, interfaces
from terrible.net.client import NetHelper
from terrible.net.dnsmasq_files import Lease
from terrible.net.leases import Leases
from terrible.net.links import Links
from terrible.net.messages import NetRequest
from terrible.net.plan import Standing
from terrible.net.rtnetlink import RTMGRP_LINK
from terrible.seams import Device

SSH = 22
"""Whom a node that answers no echo is asked by: a connection refused is an answer as well."""
LOOK = 0.1
"""Seconds between two looks at the lease file, of a node that has no address yet."""
LOOKS = 20
"""Of those, until it is asked whether it has one all the same."""
NUDGE = 2.0
"""Seconds until `terrible-net`, which sees an interface as soon as we do, is asked to look again."""
ANSWER = 1.0
"""Seconds for one answer: far more than a link of microseconds needs, and a busy Zero."""
AGAIN = 3.0
"""Seconds until a helper that has gone is looked for again."""


class SlotNetwork:
    """The network of slots whose addresses are in `subnet`; `port` is what a node must answer on to be up."""

    def __init__(
        self, helper: NetHelper, subnet: str, slots: Sequence[Slot], port: int | None, limits: Limits
    ) -> None:
        self._helper, self._subnet, self._port, self._limits = helper, subnet, port, limits
        self._names = {slot.number: slot.name for slot in slots}
        self._echo = echo.Echo()
        self._leases = Leases()
        self._links = Links(RTMGRP_LINK)
        self._bridge = ""

    def open(self) -> None:
        """Hear of links from now on."""
        self._links.open()

    def close(self) -> None:
        """The end."""
        self._links.close()
        self._echo.close()

    async def reachable(self, slot: Slot, device: Device, passed: Callable[[str], None]) -> tuple[str, ...]:
        """Return the node's address once it answers, `passed` told of each step on the way."""
        before = self._leases.of(slot.mac)
        await self._carrier(slot)
        passed("carrier")
        await self._address(slot, before)
        passed("address")
        while not await self._answers(slot):
            await asyncio.sleep(LOOK)
        passed("ping")
        if self._port is not None:
            while await echo.banner(slot.address, self._port, self._limits.control_out) is None:
                await asyncio.sleep(LOOK)
            passed("service")
        return (slot.address,)

    async def lost(self, slot: Slot) -> None:
        """Return when a node that answered has not for `lost_after`; asked every `ping_every` seconds."""
        now = asyncio.get_running_loop().time
        last = now()
        while now() - last < self._limits.lost_after:
            asked = now()
            if await self._answers(slot):
                last = asked
                await asyncio.sleep(self._limits.ping_every)
            else:
                await asyncio.sleep(LOOK)

    async def news(self) -> AsyncIterator[NetworkNews]:
        """How the network stands, whenever that has changed; a helper that has gone is looked for again."""
        while True:
            try:
                await self._helper.apply(self._subnet)
                async for standing in self._helper.watch():
                    self._bridge = standing.bridge
                    yield self._news(standing)
                    if not standing.subnet:
                        break  # it was taken down, or is another helper: it must be told
            except HostError as error:
                yield NetworkNews(problem=Problem(Code.NETWORK, str(error)))
            await asyncio.sleep(AGAIN)

    # -- one node -------------------------------------------------------------------------------------

    async def _carrier(self, slot: Slot) -> None:
        """Its interface is on the bridge and has a carrier."""
        now = asyncio.get_running_loop().time
        nudge = now() + NUDGE
        while True:
            interface = interfaces.at(slot.location)
            if (
                interface is not None
                and interface.bridge
                and interface.bridge == self._bridge
                and interface.carrier
            ):
                return
            if now() >= nudge:
                nudge = now() + NUDGE
                await self._nudge(slot)
            await self._links.changed(NUDGE / 4)

    async def _address(self, slot: Slot, before: Lease | None) -> None:
        """It has a new lease or, as one that has run for longer or has a fixed address, answers there.

        It is seldom asked: an ARP request that nobody answers is repeated only after a second, and that
        would be the first thing to wait for once the node has its address.
        """
        while not await self._echo.answers(slot.address, LOOK):
            for _ in range(LOOKS):
                if self._leases.of(slot.mac) != before:
                    return
                await asyncio.sleep(LOOK)

    async def _nudge(self, slot: Slot) -> None:
        try:
            await self._helper.ask(NetRequest("join", slot=slot.number))
        except HostError:
            pass  # `news` says why

    async def _answers(self, slot: Slot) -> bool:
        return await self._echo.answers(slot.address, ANSWER) or await echo.connects(
            slot.address, SSH, ANSWER
        )

    def _news(self, standing: Standing) -> NetworkNews:
        conflicts = {
            self._names[number]: Problem(Code.CONFLICT, said)
            for number, said in standing.conflicts.items()
            if number in self._names
        }
        problem = Problem(Code.NETWORK, standing.problem) if standing.problem else None
        if standing.subnet not in ("", self._subnet):
            said = f"the network is {standing.subnet} by now, and was {self._subnet}; restart the agent"
            problem = Problem(Code.NETWORK, said)
        return NetworkNews(standing.subnet, standing.bridge, standing.uplink, problem, conflicts)
