"""`terrible ssh-known-hosts`: the host keys of the slots, for ssh to be strict from the first login on."""

from __future__ import annotations

from pathlib import Path

from terrible.cli import settings
from terrible.cli.loop import complain
from terrible.configfile import load
from terrible.model import HostError
from terrible.state import State
from terrible.storage.hostkeys import known_hosts


def main(config: Path | None) -> int:
    """Print a line for each slot whose card got its key."""
    try:
        found = load(config)
    except HostError as error:
        return complain(error)
    subnet = State(found.state_directory / "state.json").subnet or None
    directory = settings.host_keys(found)
    domain = found.net.domain or f"{found.cluster}.internal"
    lines = list(known_hosts(found.named_slots(subnet), directory, domain))
    if not lines:
        return complain(HostError(f"{directory}: no slot has a key yet; the first flash makes it"))
    print("\n".join(lines))
    return 0
