"""The interfaces of slots: found where they sit, guarded, joined, and watched for what nodes must not do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from terrible.net import bridge, interfaces
from terrible.net.discover import PATIENCE, servers
from terrible.net.guard import LOOK, QUIET, Guard
from terrible.net.interfaces import Interface
from terrible.net.plan import Plan
from terrible.net.ports import Ports
from terrible.net.rtnetlink import Seen
from terrible.net.tools import ToolError

AGAIN = 5.0
"""Seconds until an interface that could not join is tried again."""
log = logging.getLogger(__name__)


class Joining:
    """Of one bridge. `changed` is called when somebody was found to be in conflict."""

    def __init__(self, plan: Plan, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._plan = plan
        self._guard = Guard()
        self._ports = Ports()
        self._expelled: list[Interface] = []
        self._asked: dict[int, asyncio.Task[None]] = {}
        self._servers: dict[int, tuple[float, str]] = {}
        self._refused: dict[str, int] = {}
        self._stuck: dict[int, tuple[Interface, float, str]] = {}
        self._looked = 0.0
        self._anew = True
        self.take(plan)

    def take(self, plan: Plan) -> None:
        """Another plan for the same bridge; interfaces of slots that are gone leave at the next look."""
        self._again = plan.mtu != self._plan.mtu
        self._plan = plan
        self._names = {slot.number: slot.name for slot in plan.slots}
        self._ports.own = {slot.number: slot.mac for slot in plan.slots}

    def distrust(self) -> None:
        """Somebody may have changed the guard."""
        self._guard.distrust()

    async def arm(self) -> None:
        """Arm the guard, for what is on the bridge already too."""
        ports = (interfaces.NET / self._plan.bridge / "brif").glob("*")
        await self._guard.arm([port.name for port in ports])

    async def look(self) -> None:
        """Let those join that have come, forget those that have left."""
        found = interfaces.at_each(slot.location for slot in self._plan.slots)
        present = {s.number: found[s.location] for s in self._plan.slots if s.location in found}
        await self._expel()
        if self._anew:
            await self._clear({interface.index for interface in present.values()})
            self._anew = False
        for number, gone in self._ports.left(present).items():
            self._servers.pop(number, None)
            await self._take_off(gone)
        self._stuck = {number: stuck for number, stuck in self._stuck.items() if number in present}
        for number, interface in sorted(present.items()):
            if self._is_not_as_joined(number, interface) or (self._again and number in self._ports.joined):
                await self._forget(self._ports.joined.pop(number))
            if number in self._ports.kept_off and interface.bridge == self._plan.bridge:
                await self._take_off(interface)
            if self._ports.may_join(number, interface, self._names):
                await self._try_to_join(number, interface)
        self._again = False
        await self._count()

    def seen(self, event: Seen) -> None:
        """The bridge has learned where a MAC is (called by the reader of netlink: takes no time)."""
        expelled = self._ports.seen(event.port, event.mac, self._names)
        if expelled is not None:
            self._expelled.append(expelled)
            self._changed()

    @property
    def joined(self) -> dict[int, str]:
        """The names of the interfaces on the bridge by the slot's number."""
        return {number: interface.name for number, interface in self._ports.joined.items()}

    def conflicts(self) -> dict[int, str]:
        """What nodes do that they must not, a sentence for each by the slot's number."""
        now = _now()
        found = {number: why for number, (at, why) in self._servers.items() if now - at < QUIET}
        for number, name in self.joined.items():
            if count := self._refused.get(name):
                found[number] = (
                    f"it answers like a DHCP server or router; {count} of its answers were dropped"
                )
        found |= {number: said for number, (_, _, said) in self._stuck.items()}
        return found | {number: said for number, (_, _, said) in self._ports.kept_off.items()}

    async def stop(self) -> None:
        """Ask nobody any more."""
        for task in self._asked.values():
            task.cancel()
        if self._asked:
            await asyncio.wait(self._asked.values())

    # -- one interface ------------------------------------------------------------------------------

    def _is_not_as_joined(self, number: int, interface: Interface) -> bool:
        """Renamed by udev, or taken off the bridge or set down by somebody."""
        joined = self._ports.joined.get(number)
        as_joined = interface.bridge == self._plan.bridge and interface.up
        return joined is not None and (joined.name != interface.name or not as_joined)

    async def _try_to_join(self, number: int, interface: Interface) -> None:
        """One that cannot join holds nobody up; it is tried again when it has changed, and now and then."""
        stuck = self._stuck.get(number)
        if stuck is not None and stuck[0] == interface and _now() - stuck[1] < AGAIN:
            return
        try:
            await self._join(number, interface)
            self._stuck.pop(number, None)
        except (ToolError, OSError) as error:
            await self._forget(interface)
            if interfaces.named(self._plan.bridge) is None:
                raise  # that is no fault of the interface's
            if self._is_the_same(interface):
                log.warning("%s: %s cannot join: %s", self._names[number], interface.name, error)
                self._stuck[number] = (interface, _now(), f"{interface.name} cannot join the bridge: {error}")

    def _is_the_same(self, interface: Interface) -> bool:
        """Whether it still has its name: udev gives another at any moment, and netlink will tell of that."""
        there = interfaces.named(interface.name)
        return there is not None and there.index == interface.index

    async def _join(self, number: int, interface: Interface) -> None:
        await self.arm()  # somebody may have flushed it
        await self._guard.arm_port(interface.name)
        self._ports.joined[number] = interface  # first: the bridge may tell of its MAC before `ip` has ended
        try:
            await bridge.join(interface.name, self._plan)
        except BaseException:
            self._ports.joined.pop(number, None)
            raise
        log.info("%s: %s has joined %s", self._names[number], interface.name, self._plan.bridge)
        self._asked[number] = asyncio.create_task(
            self._ask(number, interface.name), name=f"ask {interface.name}"
        )

    async def _forget(self, interface: Interface) -> None:
        self._refused.pop(interface.name, None)
        with suppress(ToolError):  # the table may be gone by now
            await self._guard.forget(interface.name)

    async def _expel(self) -> None:
        while self._expelled:
            await self._take_off(self._expelled.pop())

    async def _clear(self, ours: set[int]) -> None:
        """What an earlier helper has let join, and is no slot's by now, leaves."""
        for port in (interfaces.NET / self._plan.bridge / "brif").glob("*"):
            there = interfaces.named(port.name)
            if there is not None and there.index not in ours:
                log.info("%s is no slot's and leaves %s", there.name, self._plan.bridge)
                await self._take_off(there)

    async def _take_off(self, interface: Interface) -> None:
        """It has left by itself, or has to go: its slot is none any more, or its MAC another's."""
        there = interfaces.named(interface.name)
        if there is not None and (there.index, there.bridge) == (interface.index, self._plan.bridge):
            with suppress(ToolError):
                await bridge.leave(interface.name)
        await self._forget(interface)

    async def _ask(self, number: int, name: str) -> None:
        """Whether this node is a DHCP server: we see its answer before the guard does."""
        try:
            offers = await servers(name, PATIENCE, most=1)
        except OSError:
            return  # it has left
        if offers:
            said = f"it is a DHCP server itself ({offers[0].server}); its answers are dropped"
            self._servers[number] = (_now(), said)
            self._changed()

    async def _count(self) -> None:
        if _now() - self._looked >= LOOK:
            self._looked = _now()
            self._refused = await self._guard.look(self._looked)


def _now() -> float:
    return asyncio.get_running_loop().time()
