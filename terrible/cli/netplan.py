"""From the configuration to the plan of the network, which is all that `terrible.net` knows of it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from terrible import peers
from terrible.config import Config, slug
from terrible.configfile import ConfigError, load
from terrible.net.plan import Plan


def plan(config: Config) -> Plan:
    """The network of a configuration. ConfigError where it is switched off or has no slots."""
    net = config.net
    if not config.configured:
        raise ConfigError(
            "there is no slot: the network needs a configuration with hub and ports, or [[slots]]"
        )
    if not net.enabled:
        raise ConfigError("net.enabled = false: this configuration leaves the network to others")
    guests = net.guests.partition("-") if net.guests else None
    return Plan(
        cluster=config.cluster,
        head=slug(socket.gethostname()),
        slots=tuple(config.named_slots()),
        subnets=config.subnets,
        bridge=net.bridge,
        mtu=net.mtu,
        domain=net.domain or f"{config.cluster}.internal",
        guests=(guests[0], guests[2]) if guests else None,
        uplink=net.uplink,
        forwards=net.parsed_forwards(),
        forward_chain=net.forward_chain,
    )


def trusted(path: Path) -> Plan:
    """The plan as root reads it: of a file that nobody else could have written."""
    try:
        status = path.stat()
        if os.geteuid() == 0:
            peers.check_owner(status, path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a readable file with --config") from None
    except peers.Refused as error:
        raise ConfigError(f"{error}; sudo chown root {path} && sudo chmod go-w {path}") from None
    return plan(load(path, {}))
