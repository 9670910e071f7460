"""Whether the broker lets us in, asked as the agent would ask."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace

import aiomqtt

from terrible.cli import settings
from terrible.cli.health.finding import Finding, Level
from terrible.config import Config
from terrible.configfile import ConfigError
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.connection import Connection
from terrible.mqtt.payloads import Publication

LIMIT = 3.0
_START = "sudo apt install mosquitto, or correct [mqtt] host and port; boots go on without a broker"
_ENTER = "correct mqtt.username and mqtt.password_file, or the broker's users; boots go on without a broker"


def findings(config: Config) -> Iterator[Finding]:
    """One finding; the password goes to the broker and nowhere else."""
    try:
        address = settings.broker_address(config)
    except ConfigError:
        return  # said already: `run` does not even start
    yield asyncio.run(_tried(address, config.cluster))


def late(config: Config) -> Finding:
    """What it means that nobody answers."""
    where = BrokerAddress(config.mqtt.host, config.mqtt.port, tls=config.mqtt.tls)
    return Finding(Level.WARNING, "broker", f"no answer from {_shown(where)} within {LIMIT:g} s", _START)


def _shown(address: BrokerAddress) -> str:
    """Without a user and password that somebody has put before the host."""
    return str(replace(address, host=address.host.rpartition("@")[2]))


async def _tried(address: BrokerAddress, cluster: str) -> Finding:
    """Connect under a name of our own, for one name can be connected only once.

    The last will is there because every connection has one; it lies in the agent's tree, where the
    agent's user may write, and says nothing to anybody.
    """
    will = Publication(f"terrible/{cluster}/check", b"", 0, retain=False)
    try:
        connection = Connection(address, f"terrible-check-{os.getpid()}", will)
        await connection.open()
    except aiomqtt.MqttCodeError as error:
        return Finding(Level.WARNING, "broker", f"{_shown(address)} does not let us in: {error}", _ENTER)
    except (aiomqtt.MqttError, OSError) as error:
        return Finding(Level.WARNING, "broker", f"no broker at {_shown(address)}: {error}", _START)
    await connection.close()
    return Finding(Level.OK, "broker", f"{_shown(address)} lets {address.username or 'anybody'} in")
