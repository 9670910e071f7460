"""What `terrible-port` believes: who may ask, for which ports, and where their attribute is.

The helper runs as root and its callers do not, so everything here takes the strict reading.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path

from terrible import placement
from terrible.model import Location
from terrible.peers import Refused
from terrible.power.boards import gang
from terrible.power.topology import Topology, disable_attribute


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A checked request; `value` is what to write, None where it is only read."""

    location: Location
    value: int | None


def parse(line: bytes) -> PortRequest:
    """Read one request; Refused for anything that is not exactly one."""
    try:
        match json.loads(line.decode()):
            case {"v": 1, "op": "disable", "location": str(where), "value": int(value), **rest} if not rest:
                if type(value) is bool or value not in (0, 1):
                    raise Refused("value is 0 or 1")
                return PortRequest(Location(where), value)
            case {"v": 1, "op": "read", "location": str(where), **rest} if not rest:
                return PortRequest(Location(where), None)
    except (ValueError, RecursionError) as error:
        raise Refused(f"bad request: {error}") from error
    raise Refused(
        'a request is {"v": 1, "op": "disable", "location": "1-1.2", "value": 1}, or "read" without value'
    )


def allowed(config: Path) -> frozenset[Location]:
    """The locations of the configured slots; Refused where the file is not to be trusted or is wrong."""
    return frozenset(place.location for place in placement.trusted(config))


def within(sysfs: Path, slots: frozenset[Location]) -> frozenset[Location]:
    """The ports of the slots and those switched with them: twins of the other speed, a Pi's gang."""
    topology = Topology(sysfs)
    twins = {peer for slot in slots if (peer := topology.peer(slot)) is not None}
    gangs = [gang(topology, hub) for hub in {slot.hub for slot in slots}]
    return slots.union(twins, *(found.ports for found in gangs if found))


def attribute(sysfs: Path, location: Location) -> Path:
    """The attribute of a port without links in its last steps, a file of sysfs itself; Refused otherwise."""
    path = sysfs / disable_attribute(location)
    try:
        real, interface = path.resolve(strict=True), path.parent.parent.resolve(strict=True)
    except OSError as error:
        raise Refused(f"{path} is not there: {error.strerror}") from error
    status = real.lstat()
    straight = real == interface / path.parent.name / path.name and real.is_relative_to(sysfs.resolve())
    if not straight or not stat.S_ISREG(status.st_mode) or status.st_dev != sysfs.stat().st_dev:
        raise Refused(f"{path} is not an attribute of a USB port")
    return real
