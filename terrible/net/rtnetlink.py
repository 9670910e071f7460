"""What the kernel tells of links, addresses, routes and bridge ports. Pure: bytes in, what they say out.

rtnetlink(7), linux/rtnetlink.h, linux/neighbour.h. Only who was seen where is read; of everything else it is
enough to know that something has changed, for what is so now is asked of sysfs and `ip`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

RTMGRP_LINK, RTMGRP_NEIGH, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 0x1, 0x4, 0x10, 0x40
_NEWNEIGH, _DELNEIGH = 28, 29
_AF_BRIDGE = 7
_PERMANENT = 0x80
"""An entry for an address of the bridge's or a port's own."""
_LLADDR = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """A bridge has seen a frame from this MAC on the port with this index."""

    port: int
    mac: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Something about links, addresses or routes is not as it was."""


def parse(data: bytes) -> Iterator[Seen | Changed]:
    """Read what one recv() gave; what is cut short or unknown is a change of something."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if not 16 <= length <= len(data):
            break
        if kind in (_NEWNEIGH, _DELNEIGH):
            yield from _neighbour(kind, data[16:length])
        else:
            yield Changed()
        data = data[(length + 3) & ~3 :]


def _neighbour(kind: int, body: bytes) -> Iterator[Seen]:
    """A `struct ndmsg` and its attributes; neighbours of IP are no business of ours."""
    if kind != _NEWNEIGH or len(body) < 12:
        return
    family, port, state = struct.unpack_from("=BxxxiH", body)
    if family != _AF_BRIDGE or state & _PERMANENT:
        return
    for attribute, value in _attributes(body[12:]):
        if attribute == _LLADDR and len(value) == 6:
            yield Seen(port, value.hex(":"))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            return
        yield kind, data[4:length]
        data = data[(length + 3) & ~3 :]
