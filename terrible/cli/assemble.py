"""The composition root: which implementation stands behind each seam."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from terrible import lock
from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli import settings
from terrible.cli.nopower import NoPower
from terrible.config import Config
from terrible.mqtt.client import MqttBroker
from terrible.net.direct import GadgetSeen
from terrible.power.client import PortHelper, start_own
from terrible.power.select import BestPower
from terrible.power.topology import Topology
from terrible.seams import Power
from terrible.state import State
from terrible.usb.bus import UsbBus


@asynccontextmanager
async def agent(config: Config, path: Path | None) -> AsyncIterator[Agent]:
    """An agent on this machine's USB, power and broker."""
    info = settings.introduction(config)
    slots = config.named_slots()
    async with AsyncExitStack() as stack:
        stack.enter_context(lock.owner())
        bus = UsbBus()
        stack.callback(bus.close)
        power = await _power(stack, bus, path) if config.configured else NoPower()
        broker = MqttBroker(settings.broker_address(config), config.cluster, info.session)
        world = World(bus, power, broker, Means(settings.files(config, slots), GadgetSeen(), config.limits))
        state = State(config.state_directory / "state.json" if config.configured else None)
        yield Agent(world, slots, info, state, None if config.configured else settings.newcomers(config))


async def _power(stack: AsyncExitStack, bus: UsbBus, path: Path | None) -> Power:
    """Port power through the helper: the unit's, or one of our own where we are root."""
    socket_path = lock.directory() / "port.sock"
    if path is not None and os.geteuid() == 0 and not await _answers(socket_path):
        helper = await stack.enter_async_context(start_own(path, socket_path))
    else:
        helper = PortHelper(socket_path)
    return BestPower(Topology(), helper, bus.hubs)


async def _answers(socket_path: Path) -> bool:
    """Whether a helper listens there; an agent that was killed leaves a socket that nobody listens to."""
    try:
        _, writer = await asyncio.open_unix_connection(socket_path)
    except OSError:
        return False
    writer.close()
    return True
