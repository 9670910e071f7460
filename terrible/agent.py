"""The agent: one TaskGroup that joins the bus, the slots and the broker.

Arrivals go to slots, orders to the slot they name, and all that the slots say to the broker. An error
inside a slot stays in that slot; a dead bus ends the agent, and whoever supervises it starts it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from terrible import policy
from terrible.boot import Means
from terrible.errors import Code, HostError, Problem
from terrible.flashing import Flashing
from terrible.gate import Gate
from terrible.model import Info, Location, NetworkNews, Phase, Slot, Stage
from terrible.port import Port
from terrible.probing import Probing
from terrible.requests import Desk
from terrible.seams import Alarms, Broker, Bus, Device, Disks, HubPort, Power, Prober, Shutdown
from terrible.slot import Life
from terrible.standing import Standing
from terrible.state import State
from terrible.supply import Mains, Supply

log = logging.getLogger(__name__)

SLOT_RESTART = 10.0
"""Seconds until a slot whose own code failed is run again."""


@dataclass(frozen=True, slots=True)
class World:
    """All that the agent needs from outside, chosen by the composition root."""

    bus: Bus
    power: Power
    alarms: Alarms
    shutdown: Shutdown
    broker: Broker
    means: Means
    prober: Prober
    disks: Disks


class Agent:
    """Runs the slots of one head. `newcomer` makes a slot for a Pi met at an unconfigured location."""

    def __init__(
        self,
        world: World,
        slots: Sequence[Slot],
        info: Info,
        state: State,
        newcomer: Callable[[Location], Slot] | None = None,
    ) -> None:
        self._world, self._info, self._state, self._newcomer = world, info, state, newcomer
        self._slots = {slot.location: slot for slot in slots}
        gate = Gate(world.means.limits, world.alarms.undervoltage)
        limits = world.means.limits
        self._mains = Mains(
            world.power, world.prober, gate, world.shutdown, limits, self._hurt, self._switched
        )
        self.lives: dict[Location, Life] = {}
        self._network = NetworkNews()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Run until cancelled; then leave no Pi powered that waits to be served, and say `offline`."""
        async with asyncio.TaskGroup() as broker:
            talking = broker.create_task(self._world.broker.run(), name="broker")
            try:
                await self._serve(ready)
            finally:
                await self._leave()
                talking.cancel()

    async def _serve(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for slot in self._slots.values():
                self._add(tasks, slot)
            await self._introduce()
            self._state.on_problem = self._state.on_verdict = lambda: tasks.create_task(
                self._introduce(), name="introduction"
            )
            desk = Desk(self._world.broker, self._by_name, self._state, self._world.disks)
            tasks.create_task(desk.run(tasks), name="requests")
            tasks.create_task(self._pump(tasks), name="bus")
            tasks.create_task(self._watch_currents(), name="over-current")
            tasks.create_task(self._watch_network(), name="network")
            ready()

    @property
    def stuck(self) -> list[str]:
        """The slots that wait longer than their limits allow."""
        return [life.slot.name for life in self.lives.values() if life.stuck]

    def _by_name(self) -> Mapping[str, Life]:
        return {life.slot.name: life for life in self.lives.values()}

    # -- arrivals to slots --------------------------------------------------------------------------

    async def _pump(self, tasks: asyncio.TaskGroup) -> None:
        async for device in self._world.bus.arrivals():
            life = self.lives.get(device.location) or await self._meet(tasks, device)
            if life is not None:
                life.port.arrived(device)
        raise HostError("the USB bus gives no more events; is there still a USB controller?")

    async def _meet(self, tasks: asyncio.TaskGroup, device: Device) -> Life | None:
        """A slot for a Pi that sits where none is configured, if this agent serves any Pi."""
        if self._newcomer is None or device.stage is Stage.OTHER:
            return None
        life = self._add(tasks, self._newcomer(device.location))
        await self._introduce()
        return life

    def _add(self, tasks: asyncio.TaskGroup, slot: Slot) -> Life:
        standing = Standing(slot, self._state.wish(slot.name), self._world.broker.tell)
        world = self._world
        port = Port(slot.location)
        supply = Supply(port, standing, self._mains)
        probing = Probing(port, supply, standing, self._mains, self._state)
        flashing = Flashing(port, supply, world.means, standing, self._state)
        life = Life(port, supply, world.means, standing, self._state, probing, flashing)
        self.lives[slot.location] = life
        tasks.create_task(_guard(life), name=f"slot {slot.name}")
        return life

    async def _introduce(self) -> None:
        slots = tuple(life.slot for life in self.lives.values())
        switches = {slot.name: await self._world.power.port(slot.location) for slot in slots}
        power = {name: switch.backend for name, switch in switches.items()}
        why = {name: switch.why for name, switch in switches.items()}
        said, net = self._state.problem, self._network
        problem = Problem(Code.STATE_FILE, said) if said else net.problem
        info = replace(self._info, slots=slots, power=power, power_why=why, problem=problem)
        self._world.broker.tell(replace(info, subnet=net.subnet, bridge=net.bridge, uplink=net.uplink))

    async def _watch_currents(self) -> None:
        """A port that drew too much stays off, whatever its slot is about to do, until it is released."""
        async for location in self._world.alarms.overcurrents():
            if (life := self.lives.get(location)) is not None:
                life.latch(Code.OVERCURRENT)

    async def _watch_network(self) -> None:
        """What is wrong with a node's network is the slot's; the rest is said of the head."""
        async for news in self._world.means.network.news():
            for life in self.lives.values():
                life.standing.conflicts(news.conflicts.get(life.slot.name))
            if replace(news, conflicts={}) != replace(self._network, conflicts={}):
                self._network = news
                await self._introduce()

    # -- power and the others -----------------------------------------------------------------------

    def _hurt(self, slot: Slot, switch: HubPort, force: bool, for_good: bool) -> list[str]:
        """Who else would be hurt if this slot lost power now."""
        shown = {device.location: device.stage for device in self._world.bus.present()}
        strangers = [
            policy.Neighbour(location, stage)
            for location, stage in shown.items()
            if location not in self.lives
        ]
        nodes = [
            policy.Neighbour(
                life.slot.location,
                _shown(life, shown.get(life.slot.location)),
                life.slot.name,
                life.phase,
                wanted=life.wish,
                awaited=life.port.lit_within(self._mains.limits.power_on_to_rom),
            )
            for life in self.lives.values()
        ]
        neighbours = strangers + nodes
        return policy.hurt(slot.location, switch.affects(), neighbours, force=force, for_good=for_good)

    def _switched(self, slot: Slot, locations: frozenset[Location], on: bool) -> None:
        """After a cut, what the kernel still lists is a ghost: a hub does not always tell it."""
        for life in self.lives.values():
            if not any(location.holds(life.slot.location) for location in locations):
                continue
            if on:
                life.port.got_power()
            else:
                life.port.went_dark()
                self._mains.gate.went_dark(life.slot.name)
            if life.slot is not slot:
                life.standing.shares(on)

    async def _leave(self) -> None:
        """All slots at once, by what the bus shows, for arrivals may wait unread."""
        shown = {device.location: device.stage for device in self._world.bus.present()}
        try:
            async with asyncio.timeout(self._world.means.limits.stop), asyncio.TaskGroup() as leaving:
                for life in self.lives.values():
                    leaving.create_task(
                        life.leave(shown.get(life.slot.location)), name=f"leave {life.slot.name}"
                    )
        except TimeoutError:
            log.warning("stopped before every unserved port was seen to stay off")


def _shown(life: Life, listed: Stage | None) -> Stage | None:
    """What the slot's port shows; not what the kernel may still list on a port without power.

    What the bus has not told its slot of yet may run since the last agent: there the listing counts.
    """
    if life.port.untold:
        return listed
    return life.port.device.stage if life.port.device else None


async def _guard(life: Life) -> None:
    """Run a slot; whatever goes wrong inside is published, and it is run again after a while."""
    while True:
        try:
            await life.run()
        except HostError:
            raise
        except Exception as error:
            log.exception("%s: an error of the agent's own", life.slot.name)
            problem = Problem(Code.AGENT_ERROR, f"an error of the agent's own: {type(error).__name__}")
            life.standing.say(Phase.FAILED, problem)
        await asyncio.sleep(SLOT_RESTART)
