"""How each slot is switched, and why: found out by the agent's own means, under the agent's own lock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from terrible import lock
from terrible.cli import assemble
from terrible.cli.health import usb
from terrible.cli.health.configuration import remembered
from terrible.cli.health.finding import Finding, Level, failed
from terrible.config import Config
from terrible.errors import HostError, PowerError
from terrible.model import Slot
from terrible.power.client import PortHelper
from terrible.seams import HubPort, Power
from terrible.usb.bus import UsbBus

_REFUSED = "correct what it names, or update the kernel to 6.0; meanwhile hubs are asked directly"
_BY_HAND = "a hub with per-port power switching (docs/power.md), or a hand that unplugs it"


def findings(config: Config, path: Path | None) -> Iterator[Finding]:
    """The helper and every slot; nothing where nothing is configured, or no USB is there."""
    if not config.configured:
        yield Finding(Level.NOTE, "power", "no slots are configured, so no power is switched")
    elif any(usb.listed()):
        asked = _asked(config, path)
        with asyncio.Runner() as runner, contextlib.suppress(StopAsyncIteration):
            while True:  # one by one, for a hub may never answer
                yield runner.run(_next(asked))


async def _next(asked: AsyncIterator[Finding]) -> Finding:
    return await anext(asked)


async def _asked(config: Config, path: Path | None) -> AsyncIterator[Finding]:
    """The lock is held while USB is open, and no longer."""
    async with AsyncExitStack() as stack:
        try:
            stack.enter_context(lock.owner())
        except HostError as error:  # an error indeed, which `programs` tells
            yield Finding(Level.NOTE, "power", f"hubs were not asked: {error}")
            return
        try:
            bus = UsbBus()
            stack.callback(bus.close)
            power = await assemble.power_of(stack, config, path, bus.hubs, remembered(config).verdict)
        except HostError as error:
            yield failed("power", error)
            return
        if {"auto", "sysfs"} & {*config.backends().values()}:
            yield await helper(PortHelper(lock.directory() / "port.sock"), config.named_slots()[0])
        async for finding in switches(power, config.named_slots()):
            yield finding


async def helper(asked: PortHelper, slot: Slot) -> Finding:
    """Whether `terrible-port` answers; a refusal is an answer, and says what it dislikes."""
    try:
        await asked.disabled(slot.location)
    except PowerError as error:
        remedy = "sudo systemctl enable --now terrible-port.socket; without it hubs are asked directly"
        if error.__cause__ is None:  # its own words (power/client.py)
            return Finding(Level.WARNING, "helper", f"terrible-port answers, but refuses: {error}", _REFUSED)
        return Finding(Level.WARNING, "helper", str(error), remedy)
    return Finding(Level.OK, "helper", "terrible-port answers")


async def switches(power: Power, slots: Sequence[Slot]) -> AsyncIterator[Finding]:
    """What would switch each slot."""
    for slot in slots:
        yield _switch(slot, await power.port(slot.location), slots)


def _switch(slot: Slot, port: HubPort, slots: Sequence[Slot]) -> Finding:
    said = f"{slot.name} ({slot.location}): {port.backend}: {port.why}"
    if not port.affects():
        remedy = f"{_BY_HAND}; it boots all the same, and a Pi that hangs waits"
        return Finding(Level.WARNING, "power", said, remedy)
    named = {one.location: one.name for one in slots}
    others = [named.get(at, at) for at in sorted(port.affects() - {slot.location})]
    together = f"; {', '.join(others)} lose power with it" if others else ""
    return Finding(Level.OK, "power", said + together)
