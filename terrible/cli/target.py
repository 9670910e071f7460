"""Which broker and which cluster a command means: as said, else by the environment or a configuration."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from terrible.cli.settings import broker_address
from terrible.config import Config
from terrible.configfile import ConfigError, load
from terrible.errors import HostError, UsageError
from terrible.mqtt.address import BrokerAddress, parse_broker_url
from terrible.mqtt.topics import is_name
from terrible.remote.clusters import clusters
from terrible.remote.line import Unreachable
from terrible.remote.tree import Tree
from terrible.remote.visit import Visit, visiting

STANDARD = Path("/etc/terrible/terrible.toml")
"""Where the agent's unit has its configuration."""
TOLD = 2.0
"""Seconds in which a broker tells what it retains."""
VARIABLE = "TERRIBLE_BROKER"


class NoAgent(HostError):
    """The broker is there, but no agent. The message says what to do."""

    exit_code = 3


class Interrupted(HostError):
    """Ctrl-C: nobody waits any more. 130 is what a shell says of a command that ended so."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Where:
    """What the command line says; None where it does not."""

    broker: str | None = None
    cluster: str | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A broker and who named it; `cluster` None where nobody has named one."""

    address: BrokerAddress
    source: str
    cluster: str | None


def target(where: Where, environment: Mapping[str, str] = os.environ) -> Target:
    """The broker to go to. UsageError where what is said, there or in a configuration, cannot be used."""
    if where.cluster is not None and not is_name(where.cluster):
        raise UsageError("--cluster: a name has only a-z and 0-9, and dashes between them")
    url, source = _url(where, environment)
    if url and where.cluster:
        return Target(_parsed(url, source), source, where.cluster)
    path = where.config or _standard()
    config = _loaded(path, environment)
    named = path is not None or "cluster" in config.model_fields_set
    cluster = where.cluster or (config.cluster if named else None)
    if url:
        return Target(_parsed(url, source), source, cluster)
    try:
        return Target(broker_address(config), str(path or "The default"), cluster)
    except ConfigError as error:
        raise UsageError(
            f"{error}; run this as a user who may read it, or put mqtt://user:password@host into {VARIABLE}"
        ) from None


async def cluster_at(visit: Visit, cluster: str | None) -> str:
    """The cluster that is meant: the one that is named, else the only one at the broker."""
    if cluster is not None:
        return cluster
    found = await clusters(visit)
    if not found:
        raise NoAgent(
            f"no agent has ever been at the broker at {visit.address}; terrible check tells what an agent "
            "lacks, terrible hubs shows what is plugged in, --broker names another broker"
        )
    if len(found) > 1:
        names = ", ".join(name if online else f"{name} (offline)" for name, online in found.items())
        raise UsageError(f"there are several clusters at {visit.address}: {names}; choose one with --cluster")
    return next(iter(found))


@asynccontextmanager
async def reached(where: Where, name: str) -> AsyncIterator[tuple[Visit, str]]:
    """A visit to the broker and the cluster that is meant, for the length of the block.

    Unreachable where there is none, Interrupted at Ctrl-C: a script must not take half an answer for one.
    """
    meant = target(where)
    inside = False
    try:
        async with visiting(meant.address, name) as visit:
            inside = True
            yield visit, await cluster_at(visit, meant.cluster)
    except asyncio.CancelledError:
        raise Interrupted("interrupted before all was told; ask again") from None
    except Unreachable as error:
        if inside:
            raise
        raise Unreachable(f"{error} {meant.source} says so; --broker or {VARIABLE} names another") from None


def check_agent(tree: Tree, address: BrokerAddress) -> None:
    """NoAgent, unless there is one."""
    cluster = tree.topics.cluster
    match tree.said:
        case None:
            raise NoAgent(
                f"no agent of the cluster {cluster} has ever been at the broker at {address}, or this user "
                f"may not read {tree.topics.base}/#; terrible check tells what an agent lacks, terrible hubs "
                "shows what is plugged in, --cluster chooses another"
            )
        case False:
            raise NoAgent(
                f"agent offline: nobody runs the cluster {cluster}; on its head, terrible check tells why, "
                "and terrible hubs shows what is plugged in"
            )


def _url(where: Where, environment: Mapping[str, str]) -> tuple[str, str]:
    if where.broker is None:
        return environment.get(VARIABLE, ""), VARIABLE
    return where.broker, "--broker"


def _parsed(url: str, source: str) -> BrokerAddress:
    try:
        address = parse_broker_url(url)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None
    if address.password is not None and source == "--broker":
        raise UsageError(
            "--broker: whoever else is on this machine can read a password in a command line; "
            f"put the URL into {VARIABLE}, or password_file into a configuration"
        )
    return address


def _standard() -> Path | None:
    """The agent's own configuration, on its head, where this user may read it."""
    return STANDARD if os.access(STANDARD, os.R_OK) else None


def _loaded(path: Path | None, environment: Mapping[str, str]) -> Config:
    try:
        return load(path, environment)
    except ConfigError as error:
        raise UsageError(str(error)) from None
