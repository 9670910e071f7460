"""From the configuration to backends of port power: what slots name, over what finds the best by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from terrible.config import Config
from terrible.errors import HostError
from terrible.model import Location, Slot
from terrible.power.chosen import ChosenPower, Unswitched
from terrible.power.clusterhat import ClusterHatPower
from terrible.power.command import CommandPower, Commands
from terrible.power.gpio import GpioPower
from terrible.power_config import BACKENDS, Backend, PowerConfig
from terrible.seams import Power

Automatic = Callable[[str | None], Power]
"""Makes what finds the best switch, or only `sysfs` or `hub` where that is named."""


async def chosen(config: Config, automatic: Automatic) -> Power:
    """The power of this configuration. HostError where a backend that a slot names cannot work here."""
    backends = config.backends()
    named: dict[Location, Power] = {}
    for backend in BACKENDS:
        slots = {slot.location: slot for slot in config.named_slots() if backends[slot.name] == backend}
        if slots and backend != "auto":
            named |= dict.fromkeys(slots, await _made(backend, slots, config.power, automatic))
    return ChosenPower(named, automatic(None))


async def _made(
    backend: Backend, slots: Mapping[Location, Slot], power: PowerConfig, automatic: Automatic
) -> Power:
    match backend:
        case "gpio":
            lines = {location: power.gpio.lines[slot.name] for location, slot in slots.items()}
            return GpioPower(power.gpio.chip, lines, power.gpio.active_low)
        case "clusterhat":
            return await ClusterHatPower.find(slots, power.clusterhat.version)
        case "command":
            return CommandPower(slots, _commands(power))
        case "none":
            return Unswitched()
    return automatic(backend)


def _commands(power: PowerConfig) -> Commands:
    command = power.command
    if command.on is None or command.off is None:
        raise HostError("power.command needs on and off")  # which `PowerConfig.check` has seen to
    return Commands(command.on, command.off, command.status, command.timeout)
