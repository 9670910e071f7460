"""From the configuration to what an agent is made of, on real and on simulated hardware alike."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from terrible import __version__
from terrible.cli import credentials
from terrible.config import Config
from terrible.model import Info, Location, Slot
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.homeassistant import Discovery
from terrible.usb.bootfiles import BootFiles
from terrible.usb.layers import Roots


def files(config: Config, slots: list[Slot]) -> BootFiles:
    """The boot files of a configuration."""
    roots = Roots(config.files.directory, config.files.firmware, config.files.profiles)
    return BootFiles(roots, slots, config.cluster)


def firmware_for_cards(config: Config, slots: list[Slot]) -> BootFiles | None:
    """What makes a Pi show its card, if that is configured."""
    where = config.files.mass_storage
    return BootFiles(Roots(where), slots, config.cluster) if where is not None else None


def host_keys(config: Config) -> Path:
    """Where the slots' SSH host keys are.

    No node is served what begins with a dot, even where the boot files are in the state directory itself.
    """
    return config.state_directory / ".host-keys"


def introduction(config: Config) -> Info:
    """Who this agent is, with a session id that is new at every start."""
    return Info(__version__, config.cluster, socket.gethostname(), secrets.token_hex(4), time.time(), ())


def broker_address(config: Config) -> BrokerAddress:
    """The broker's address with all it takes to enter, read from the files; ConfigError where one is bad."""
    mqtt = config.mqtt
    username, password = credentials.user(mqtt)
    return BrokerAddress(mqtt.host, mqtt.port, username, password, mqtt.tls, *credentials.certificates(mqtt))


def discovery(config: Config) -> Discovery:
    """What Home Assistant is told."""
    return Discovery(config.homeassistant.prefix, config.homeassistant.discovery)


def newcomers(config: Config) -> Callable[[Location], Slot]:
    """Slots for Pis met where none is configured, numbered as they come."""
    met: dict[Location, Slot] = {}

    def slot(location: Location) -> Slot:
        name = "p" + location.replace(".", "-")
        return met.setdefault(location, config.slot(name, len(met) + 1, location))

    return slot
