"""The composition root: which implementation stands behind each seam."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from terrible import lock
from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli import settings, switches
from terrible.cli.nothing import NoAlarms, NoDisks, NoPower, NoProber
from terrible.config import Config
from terrible.errors import HostError
from terrible.model import Location, Slot, Verdict
from terrible.mqtt.client import MqttBroker
from terrible.net.client import NetHelper
from terrible.net.direct import GadgetSeen
from terrible.net.reach import SlotNetwork
from terrible.net.shutdown import ShutdownCommand
from terrible.power.alarms import HardwareAlarms
from terrible.power.client import PortHelper, start_own
from terrible.power.hub import HubControl
from terrible.power.prober import HubProber, Verdicts
from terrible.power.select import BestPower
from terrible.power.topology import Topology
from terrible.seams import Broker, Disks, Network, Power, Prober
from terrible.state import State
from terrible.storage import client as disk_client
from terrible.storage.client import DiskHelper
from terrible.storage.disks import CardDisks
from terrible.usb.bus import UsbBus
from terrible.usb.pulse import pulse

log = logging.getLogger(__name__)


@asynccontextmanager
async def agent(
    config: Config,
    path: Path | None,
    broker: Broker | None = None,
    cards: Callable[[DiskHelper], Disks] | None = None,
) -> AsyncIterator[Agent]:
    """An agent on this machine's USB and power, at its broker and with its images unless others are given."""
    info = settings.introduction(config)
    async with AsyncExitStack() as stack:
        stack.enter_context(lock.owner())
        bus = UsbBus()
        stack.callback(bus.close)
        state = State(config.state_directory / "state.json" if config.configured else None)
        slots, network = await network_of(stack, config, path, state)
        power, prober = await _switches(stack, config, path, bus, state)
        broker = broker or _mqtt(config, info.session)
        shutdown = ShutdownCommand(config.shutdowns(), config.limits.shutdown)
        firmware = settings.firmware_for_cards(config, slots)
        means = Means(settings.files(config, slots), network, config.limits, firmware)
        alarms = HardwareAlarms(bus.hubs, [slot.location for slot in slots]) if slots else NoAlarms()
        disks = await disks_of(stack, config, path, cards)
        world = World(bus, power, alarms, shutdown, broker, means, prober, disks)
        yield Agent(world, slots, info, state, None if config.configured else settings.newcomers(config))


def _mqtt(config: Config, session: str) -> MqttBroker:
    address, told = settings.broker_address(config), settings.discovery(config)
    return MqttBroker(address, config.cluster, session, told)


async def network_of(
    stack: AsyncExitStack, config: Config, path: Path | None, state: State
) -> tuple[list[Slot], Network]:
    """The slots with their addresses, and their network, up if it can be; else it says why."""
    if path is None or not config.configured or not config.net.enabled:
        return config.named_slots(), GadgetSeen()
    helper = NetHelper(lock.directory() / "net.sock", path if os.geteuid() == 0 else None)
    stack.push_async_callback(helper.end_own)
    subnet = state.subnet if state.subnet in config.subnets else config.subnets[0]
    try:
        subnet = await helper.apply(subnet)
        state.set_subnet(subnet)
    except HostError as error:
        log.warning("the node network is not up: %s", error)
    slots = config.named_slots(subnet)
    network = SlotNetwork(helper, subnet, slots, config.net.port, config.limits)
    network.open()
    stack.callback(network.close)
    return slots, network


async def _switches(
    stack: AsyncExitStack, config: Config, path: Path | None, bus: UsbBus, state: State
) -> tuple[Power, Prober]:
    """Port power, and who finds out what it is worth; none of both without a configuration."""
    if not config.configured:
        return NoPower(), NoProber()
    verdicts = Verdicts(state.verdict)
    power = await power_of(stack, config, path, bus.hubs, verdicts.of)
    return power, HubProber(power, verdicts, bus.hubs, Topology(), bus, pulse)


async def power_of(
    stack: AsyncExitStack,
    config: Config,
    path: Path | None,
    control: HubControl,
    verdict: Callable[[Location], Verdict | None],
) -> Power:
    """Port power as configured; a helper of our own runs only where a slot may need it.

    `verdict` is what the last probe of a location has found out.
    """
    wanted = {"auto", "sysfs"} & {*config.backends().values()}
    helper = await _helper(stack, path if wanted else None)
    topology = Topology()

    def automatic(only: str | None) -> Power:
        return BestPower(topology, helper, control, only=only, verdict=verdict)

    return await switches.chosen(config, automatic)


async def disks_of(
    stack: AsyncExitStack,
    config: Config,
    path: Path | None,
    cards: Callable[[DiskHelper], Disks] | None,
) -> Disks:
    """Who writes cards, where that is configured; a helper of our own where we are root without the unit."""
    if not config.configured or config.files.mass_storage is None:
        return NoDisks()
    where = lock.directory() / "disk.sock"
    helper = DiskHelper(where)
    if path is not None and os.geteuid() == 0 and not await _answers(where):
        helper = await stack.enter_async_context(disk_client.start_own(path, where))
    return cards(helper) if cards else CardDisks(helper, config.files.images, settings.host_keys(config))


async def _helper(stack: AsyncExitStack, path: Path | None) -> PortHelper:
    """The helper of the unit, or one of our own where we are root."""
    socket_path = lock.directory() / "port.sock"
    if path is not None and os.geteuid() == 0 and not await _answers(socket_path):
        return await stack.enter_async_context(start_own(path, socket_path))
    return PortHelper(socket_path)


async def _answers(socket_path: Path) -> bool:
    """Whether a helper listens there; an agent that was killed leaves a socket that nobody listens to."""
    try:
        _, writer = await asyncio.open_unix_connection(socket_path)
    except OSError:
        return False
    writer.close()
    return True
