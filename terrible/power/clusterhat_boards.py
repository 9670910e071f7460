"""What is known of the Cluster HAT and Cluster CTRL boards: versions, pins, registers, bits, port order.

Every constant is from github.com/burtyb/clusterhat-image at dd66f59, `files/usr/sbin/clusterctrl` (below:
clusterctrl, with line numbers) and `files/usr/share/clusterctrl/python/xra1200.py`, both by the maker.
"""

from __future__ import annotations

from collections.abc import Sequence

from terrible.model import Location

Version = tuple[int, int]

NODES = 4
"""Nodes of a Cluster HAT (clusterctrl:436)."""
PRODUCT = "ZC4:ClusterHAT"
"""What `product` of the device tree's `hat` says (clusterctrl:417)."""
PINS = (6, 13, 19, 26)
"""BCM lines of the nodes of a v1, high is on (clusterctrl:445; the fifth there, 5, is the alert LED)."""
HUBS = frozenset({"05e3:0608", "3171:0040", "3171:0041"})
"""USB ids of the hub of a v2 or v3 (clusterctrl:339-341)."""

I2C_ADDRESS = 0x20
"""Of the expander of a HAT and of the controller of a CTRL (clusterctrl:121)."""
I2C_BUS = 1
"""The bus of the header that a HAT sits on (clusterctrl:452)."""

# The expander of v2 and v3: PCA9534 (NXP, table 3) or XRA1200P, which adds to it (Exar, table 2).
INPUT, OUTPUT, DIRECTION, PULL_UP = 0x00, 0x01, 0x03, 0x04
"""Registers (xra1200.py:4-7). Reading INPUT tells the level of a pin, output or not."""
ALL_INPUTS = 0xFF
"""DIRECTION after power-up (both datasheets): nobody has set the board up yet (clusterctrl:475)."""
LED, HUB, ALERT, WRITE_PROTECT = 1 << 4, 1 << 5, 1 << 6, 1 << 7
"""Bits of the expander (clusterctrl:459-462); bits 0-3 are nodes 1-4 (:454-457). v3 has no LED bit."""

# Cluster CTRL, all sizes: a controller with these registers (clusterctrl:127-141) and commands (:144-170).
CTRL_NODES, CTRL_DATA7, CTRL_DATA0, CTRL_COMMAND = 0x01, 0x05, 0x0C, 0x0D
CTRL_ON, CTRL_OFF, CTRL_HUB_CYCLE, CTRL_STATUS, CTRL_PATH = 0x03, 0x04, 0x07, 0x0F, 0x11
CTRL_HUB_OFF = 100
"""How long CTRL_HUB_CYCLE leaves the hub off, in 10 ms: the second that a HAT is given (clusterctrl:389)."""
CTRL_VENDOR, CTRL_PRODUCT = "3171", "001"
"""USB id of a CTRL's controller, the last digit left open (90-clusterctrl.rules)."""


def hat_version(product: str, version: str) -> Version | None:
    """The version of a HAT by its EEPROM, None for another HAT (clusterctrl:415-434).

    0x10 is v1.0, 0x2F is v2.15. Files of the device tree end with a NUL.
    """
    try:
        major, minor = divmod(int(version.strip("\0"), 16), 16)
    except ValueError:
        return None
    return (major, minor) if product.strip("\0") == PRODUCT and major in (1, 2, 3) else None


def parse(text: str) -> Version:
    """A version as printed on the board, `2.3`."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def node_at(version: Version, port: int) -> int | None:
    """The node on a port of the HAT's hub, from 1, None where no node is (clusterctrl:257, 300-303)."""
    node = port if version in ((2, 6), (3, 1)) else NODES + 1 - port
    return node if 1 <= node <= NODES else None


def node_bit(node: int) -> int:
    """The expander's bit of a node."""
    return 1 << (node - 1)


def with_hub(version: Version, output: int, on: bool) -> int:
    """OUTPUT with the hub on or off; only v2.0 has the bit high for on (clusterctrl:503-506)."""
    return output | HUB if on is (version == (2, 0)) else output & ~HUB


def first_output(version: Version, levels: int) -> int:
    """OUTPUT for a board that nobody has set up yet, given the levels of its pins (clusterctrl:487-506).

    The power-on state is a solder link: cut, all four node pins are high and the nodes have power already.
    """
    nodes = 0x0F if levels & 0x0F == 0x0F else 0
    led = LED if version[0] == 2 else 0
    return with_hub(version, nodes | led | WRITE_PROTECT, on=True)


def ctrl_location(controller: str, own: Sequence[int], node: Sequence[int]) -> Location:
    """Where a node of a CTRL is, from the location of its controller and two answers to CTRL_PATH.

    Each is the way from the board's own hub, DATA7 first, 255 where it is shorter (clusterctrl:312-328).
    ValueError if the controller is not where it says.
    """
    ending, way = _ports(own), _ports(node)
    if not way or not ending or not controller.endswith(ending) or controller[-len(ending) - 1] not in ".-":
        raise ValueError(
            f"it says that it is at port {ending or 'none'} of its hub, but it is at {controller}"
        )
    return Location(controller.removesuffix(ending) + way)


def _ports(data: Sequence[int]) -> str:
    return ".".join(str(port) for port in data if port != 0xFF)
