"""`terrible exporter`: what a broker tells of its clusters, as metrics for Prometheus."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from terrible.cli import settings
from terrible.cli.loop import complain, run
from terrible.configfile import load
from terrible.errors import HostError, UsageError
from terrible.mqtt.address import BrokerAddress, parse_broker_url

if TYPE_CHECKING:
    from terrible.exporter.server import Listen

PLACE = "127.0.0.1:9817"
_PLACE = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; None where it was not said."""

    broker: str | None
    config: Path | None
    cluster: str | None
    listen: str


def main(asked: Asked) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    if importlib.util.find_spec("prometheus_client") is None:
        lacks = "pip install 'terrible[prometheus]', or apt install python3-prometheus-client"
        return complain(HostError(f"the exporter needs prometheus_client: {lacks}"))
    try:
        listen = place(asked.listen)
        _check_cluster(asked.cluster)
        address = broker_address(asked.broker, asked.config)
    except HostError as error:
        return complain(error)
    return run(lambda: _export(address, asked.cluster, listen))


async def _export(address: BrokerAddress, cluster: str | None, listen: Listen) -> None:
    from terrible.exporter.server import Exporter, served

    exporter = Exporter(address, cluster)
    with served(exporter, listen):
        await exporter.run()


def broker_address(url: str | None, config: Path | None) -> BrokerAddress:
    """The broker: the one named, else the configuration's, else that of TERRIBLE_BROKER, else localhost."""
    if url is not None:
        address = _parsed(url, "--broker")
        if address.password is not None:
            remedy = "set TERRIBLE_BROKER, or mqtt.password_file in the file of --config"
            raise UsageError(f"--broker: a password there can be read by everyone on this machine; {remedy}")
        return address
    if config is None and (said := os.environ.get("TERRIBLE_BROKER")):
        return _parsed(said, "TERRIBLE_BROKER")
    return settings.broker_address(load(config))


def place(text: str) -> Listen:
    """`127.0.0.1:9817` or `[::1]:9817`; UsageError for anything else."""
    from terrible.exporter.server import Listen

    found = _PLACE.fullmatch(text)
    if found is None or not 1 <= int(found[3]) <= 65535:
        raise UsageError(f"--listen: {text!r} is no place to listen; one looks like {PLACE} or [::1]:9817")
    return Listen(found[1] or found[2], int(found[3]))


def _parsed(url: str, name: str) -> BrokerAddress:
    try:
        return parse_broker_url(url)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def _check_cluster(cluster: str | None) -> None:
    if cluster is not None and not re.fullmatch("[a-z0-9-]{1,63}", cluster):
        raise UsageError(f"--cluster: {cluster!r} is no cluster's name; one has only a-z, 0-9 and dashes")
