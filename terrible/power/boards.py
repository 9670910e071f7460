"""Boards whose USB sockets share one power switch, whatever their hubs say of themselves.

The facts are those that uhubctl's users measured (its README, "Raspberry Pi 4B" and "Raspberry Pi 5").
The kernel's device names are of raspberrypi/linux; the 400 and 500 are the same boards in a keyboard.
"""

from __future__ import annotations

from dataclasses import dataclass

from terrible.model import Location
from terrible.power.topology import Topology, port_of, ports_of


@dataclass(frozen=True, slots=True)
class _Board:
    """`controllers` are in the paths of its sockets; `inner` is a hub that makes them out of one port."""

    name: str
    controllers: frozenset[str]
    inner: tuple[str, str] | None


_VL805 = frozenset({"fd500000.pcie"}), ("2109", "3431")
"""Behind the one PCIe link of a Pi 4; a hub inside it has the USB 2 lines of all four sockets.

Its USB-C port is another controller's, and none of these sockets.
"""
_RP1 = frozenset({"1f00200000.usb", "1f00300000.usb"}), None
"""Two controllers with two sockets each."""
_BOARDS = {
    "raspberrypi,4-model-b": _Board("Raspberry Pi 4", *_VL805),
    "raspberrypi,400": _Board("Raspberry Pi 400", *_VL805),
    "raspberrypi,5-model-b": _Board("Raspberry Pi 5", *_RP1),
    "raspberrypi,500": _Board("Raspberry Pi 500", *_RP1),
}
"""By the device tree's word for them."""


@dataclass(frozen=True, slots=True)
class Gang:
    """All sockets of a board, on USB 2 and USB 3 buses."""

    board: str
    ports: frozenset[Location]


def gang(topology: Topology, hub: str) -> Gang | None:
    """The gang that the ports of this hub belong to, None where they are not the board's own sockets."""
    for compatible in sorted(topology.board() & _BOARDS.keys()):
        board = _BOARDS[compatible]
        ports = _sockets(topology, board)
        return Gang(board.name, ports) if port_of(hub, 1) in ports else None
    return None


def _sockets(topology: Topology, board: _Board) -> frozenset[Location]:
    found: set[Location] = set()
    for bus in topology.hubs():
        if bus.startswith("usb") and not board.controllers.isdisjoint(topology.controller(bus).parts):
            first = port_of(bus, 1)
            hub = first if board.inner and topology.is_model(first, *board.inner) else bus
            found |= ports_of(hub, topology.ports(hub))
    return frozenset(found)
