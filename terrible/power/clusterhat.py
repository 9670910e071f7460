"""Ports of a Cluster HAT and of Cluster CTRL boards: which node of which board sits at a location.

Never seen on real hardware: the tests hold this against models of the expanders, made from their datasheets,
and of the controller, made from what the maker's own tool does with it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from terrible.errors import HostError, PowerError
from terrible.model import Location
from terrible.power import clusterhat_boards as boards
from terrible.power.clusterhat_boards import Version
from terrible.power.clusterhat_io import DEVICES, Board, Ctrl, Expander, Pins, attribute

EEPROM = Path("/sys/firmware/devicetree/base/hat")
"""What /proc/device-tree/hat of clusterctrl:182-186 links to; the unit of the agent hides /proc."""


class ClusterHatPort:
    """The switch of one node."""

    backend = "clusterhat"

    def __init__(self, location: Location, board: Board, node: int) -> None:
        self._location = location
        self._board = board
        self._node = node

    @property
    def why(self) -> str:
        """Which node of which board it is."""
        return f"{self._location} is node {self._node} of the {self._board.name}"

    def affects(self) -> frozenset[Location]:
        """Its own location."""
        return frozenset({self._location})

    async def switch(self, on: bool) -> None:
        """Switch and verify."""
        await self._board.set(self._node, on)

    async def powered(self) -> bool | None:
        """What the board says, None where it does not answer."""
        try:
            return await self._board.get(self._node)
        except PowerError:
            return None


class ClusterHatPower:
    """The `Power` of slots on such boards; HostError if one of them is on none."""

    def __init__(self, ports: dict[Location, ClusterHatPort]) -> None:
        self._ports = ports

    @classmethod
    async def find(cls, locations: Collection[Location], version: str | None) -> ClusterHatPower:
        """Ask CTRL boards where their nodes are; what they do not have is on the HAT, if there is one."""
        try:
            ports = await _ctrl_ports()
            if rest := sorted(set(locations) - ports.keys()):
                ports |= await _hat_ports(rest, boards.parse(version) if version else _eeprom())
        except PowerError as error:
            raise HostError(f"{error}; see docs/power.md for what such a board needs") from error
        return cls(ports)

    async def port(self, location: Location) -> ClusterHatPort:
        """The switch of the node there."""
        return self._ports[location]


async def _ctrl_ports() -> dict[Location, ClusterHatPort]:
    ports: dict[Location, ClusterHatPort] = {}
    for ctrl in [Ctrl(controller) for controller in _controllers()]:
        for node, location in enumerate(await ctrl.locations(), start=1):
            ports[location] = ClusterHatPort(location, ctrl, node)
    return ports


async def _hat_ports(locations: list[Location], version: Version | None) -> dict[Location, ClusterHatPort]:
    if version is None:
        raise HostError(
            f"no Cluster HAT or Cluster CTRL found for {', '.join(locations)}; if a HAT's EEPROM is empty, "
            'name its version, as in [power.clusterhat] version = "2.3"'
        )
    hubs = {location.hub for location in locations}
    if len(hubs) > 1:
        raise HostError(f"a Cluster HAT is one hub, but slots on it are at {', '.join(sorted(hubs))}")
    nodes = {location: _node(version, location) for location in locations}
    hat = await _hat(version)
    return {location: ClusterHatPort(location, hat, node) for location, node in nodes.items()}


async def _hat(version: Version) -> Board:
    if version[0] == 1:
        return Pins(version)
    expander = Expander(version)
    await expander.set_up()
    return expander


def _node(version: Version, location: Location) -> int:
    """The node at a location, if that can be a port of the HAT's hub."""
    ids = [attribute(location.hub, key) for key in ("idVendor", "idProduct")]
    if version[0] > 1 and all(ids) and ":".join(ids) not in boards.HUBS:
        raise HostError(
            f"{location.hub} is no Cluster HAT but a hub {':'.join(ids)}; correct the configuration"
        )
    node = boards.node_at(version, location.port)
    if node is None:
        raise HostError(f"a Cluster HAT has no node at port {location.port}, as {location} would be")
    return node


def _eeprom() -> Version | None:
    """The version of the HAT on this head, None where there is none."""
    try:
        return boards.hat_version((EEPROM / "product").read_text(), (EEPROM / "product_ver").read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _controllers() -> list[str]:
    """Where the controllers of CTRL boards are now, as the kernel names devices."""
    return sorted(
        device.name
        for device in DEVICES.glob("*-*")
        if attribute(device.name, "idVendor") == boards.CTRL_VENDOR
        and attribute(device.name, "idProduct").startswith(boards.CTRL_PRODUCT)
    )
