"""What the network of a head shall be: the configuration as plain values, and what follows from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from terrible.model import Slot
from terrible.net import addresses

RUN = Path("/run/terrible-net")
"""Root's own, on tmpfs: nobody else can put a link where root is about to write."""
_FORWARD = re.compile(r"(?P<port>\d{1,5}) *-> *(?P<slot>[a-z0-9-]+):(?P<to>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Forward:
    """A TCP port of the head's uplink that leads to a port of a slot: `2202 -> node2:22`."""

    port: int
    slot: str
    to: int


def parse_forward(text: str) -> Forward:
    """Read one; ValueError, with a sentence for people, if it is written otherwise."""
    match = _FORWARD.fullmatch(text.strip())
    if not match or not all(0 < int(match[part]) < 65536 for part in ("port", "to")):
        raise ValueError(f"{text!r} is no port forward; one looks like 2202 -> node2:22")
    return Forward(int(match["port"]), match["slot"], int(match["to"]))


@dataclass(frozen=True, slots=True)
class Plan:
    """The network as configured; which of the `subnets` it becomes depends on the head's routes.

    A subnet is written as the head's own address in it, `10.42.0.1/24`.
    """

    cluster: str
    head: str
    slots: tuple[Slot, ...]
    subnets: tuple[str, ...] = addresses.SUBNETS
    bridge: str = "terrible0"
    mtu: int = 1500
    domain: str = "internal"
    guests: tuple[str, str] | None = None
    uplink: str | None = None
    forwards: tuple[Forward, ...] = ()
    forward_chain: str | None = None

    @property
    def mac(self) -> str:
        """The bridge's own address: it must not change with whichever node joins first."""
        return addresses.bridge_mac(self.cluster)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the network stands, whole, each time something of it has changed.

    `problem` is the head's own, `conflicts` those of slots by their number: one sentence each. `interfaces`
    are those of the slots that are on the bridge, by the slot's number.
    """

    subnet: str = ""
    bridge: str = ""
    uplink: str = ""
    names: str = ""
    problem: str = ""
    conflicts: dict[int, str] = field(default_factory=dict)
    interfaces: dict[int, str] = field(default_factory=dict)
