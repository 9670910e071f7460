"""`terrible-disk`: the small root process that opens the card of a configured slot, and nothing else.

It is told the name of a slot. Where that is comes from the root-owned configuration, what is there from
sysfs, and whether that may be written from five locks. The descriptor goes to the caller; none stays here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from terrible import lineserver, placement
from terrible.lineserver import Reply
from terrible.model import Location
from terrible.peers import Refused
from terrible.storage.locks import Disk
from terrible.storage.messages import DiskRequest, Seen
from terrible.storage.opening import look, open_card
from terrible.storage.reading import Machine


@dataclass(frozen=True, slots=True)
class Settings:
    """What the process was started with."""

    config: Path
    machine: Machine


def main(argv: Sequence[str]) -> int:
    """Serve until killed or, where started by the agent itself, until the agent is gone."""
    parser = lineserver.arguments("terrible disk-helper")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the head's sys, proc and dev are")
    options = parser.parse_args(argv)
    listening = lineserver.listener(parser, options.socket)
    settings = Settings(options.config, Machine(options.root))
    return lineserver.serve(listening, partial(_done, settings), watch_stdin=options.socket is not None)


def _done(settings: Settings, line: bytes) -> Reply:
    """Do what the line asks for; the fork that does it ends with the answer, and its descriptor with it."""
    request = DiskRequest.parse(line)
    location = _location(settings.config, request.slot)
    try:
        if request.op == "look":
            return Reply(_seen(request.slot, location, look(settings.machine, location)))
        descriptor, disk = open_card(settings.machine, location)
    except ValueError as error:  # sysfs says what nobody expects
        raise Refused(f"the disk at {location} cannot be understood: {error}") from error
    return Reply(_seen(request.slot, location, disk), (descriptor,))


def _location(config: Path, slot: str) -> Location:
    found = [place.location for place in placement.trusted(config) if place.name == slot]
    if not slot or not found:
        raise Refused(f"{slot!r} is not the name of a slot in {config}")
    return found[0]


def _seen(slot: str, location: Location, disk: Disk) -> dict[str, object]:
    return asdict(Seen(slot, location, disk.name, disk.size, disk.sector, disk.vendor, disk.model))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
