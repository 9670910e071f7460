"""`terrible ssh-known-hosts`: the host keys of the slots, for ssh to be strict from the first login on."""

from __future__ import annotations

from pathlib import Path

from terrible.cli import settings
from terrible.cli.health.configuration import remembered
from terrible.cli.loop import complain
from terrible.cli.target import STANDARD
from terrible.config import Config
from terrible.configfile import load
from terrible.errors import HostError
from terrible.storage.hostkeys import known_hosts


def main(config: Path | None) -> int:
    """Print a line for each slot whose card got its key."""
    try:
        print("\n".join(_lines(load(config or _standard()))))
    except HostError as error:
        return complain(error)
    return 0


def _standard() -> Path | None:
    """The agent's own configuration, on its head."""
    return STANDARD if STANDARD.exists() else None


def _lines(config: Config) -> list[str]:
    directory = settings.host_keys(config)
    domain = config.net.domain or f"{config.cluster}.internal"
    lines = list(known_hosts(config.named_slots(remembered(config).subnet or None), directory, domain))
    if not lines:
        raise HostError(f"{directory}: no slot has a key yet; the first flash of a prepared image makes them")
    return lines
