"""The addresses of a slot, derived from the cluster's name and the slot's number; no I/O, no memory.

Whatever is derived here is stable for ever: leases, `.link` files and known hosts of people rest on it.
"""

from __future__ import annotations

import hashlib
import ipaddress

FIRST, LAST = 1, 250
"""Slot numbers that addresses exist for."""
_OFFSET = 10
"""Slot N is 10 + N: what lies below is left to the head and to whatever else people put there."""
SUBNETS = (
    "10.42.0.1/24",
    "192.168.137.1/24",
    "192.168.2.1/24",
    "10.43.0.1/24",
    "10.44.0.1/24",
    "172.30.42.1/24",
)
"""The head's address and network: the first that clashes with nothing. Raspberry Pi's `rpi-usb-gadget` makes
a stock image a plain DHCP client where one of the first three answers (its ics-watch.c, 1.0.6)."""
_LOCAL = 0x02
"""Locally administered; the lowest bit, 0, says unicast (IEEE 802)."""
_HOST_END = 0x04
"""The bit that tells the head's end of a link from the gadget's."""


def mac(cluster: str, number: int) -> str:
    """The gadget's own address.

    With h = SHA-256 of `terrible gadget <cluster>` in UTF-8: the first byte is h[0] with its three lowest
    bits 010, then come h[1] to h[4], and the last byte is the slot's number. So no two slots of a cluster
    can share one, and two clusters do with a chance of 1 in 2^37.
    """
    return _mac(cluster, number, _LOCAL)


def host_mac(cluster: str, number: int) -> str:
    """The head's end of the same link: as `mac`, with the first byte's lowest bits 110."""
    return _mac(cluster, number, _LOCAL | _HOST_END)


def bridge_mac(cluster: str) -> str:
    """The bridge's own: as `mac`, with 0, which is no slot's number, as its last byte."""
    return _hashed(cluster, _LOCAL, 0)


def address(subnet: str, number: int) -> str:
    """The fixed IPv4 address of a slot where the head is `subnet` (10.42.0.1/24: slot 1 is 10.42.0.11).

    Raises ValueError where the subnet has no room for it.
    """
    head = ipaddress.IPv4Interface(subnet)
    fixed = head.network.network_address + _OFFSET + _checked(number)
    if fixed not in head.network or fixed == head.network.broadcast_address:
        raise ValueError(f"{head.network} has no room for slot {number}, which would be {fixed}")
    if fixed == head.ip:
        raise ValueError(f"{fixed} is the head's own address and slot {number}'s")
    return str(fixed)


def check(subnet: str) -> None:
    """ValueError unless this is an address that the head can have, in a network with room for slot 1."""
    try:
        head = ipaddress.IPv4Interface(subnet)
    except ValueError:
        raise ValueError("a subnet is written as the head's address in it: 10.42.0.1/24") from None
    address(subnet, 1)
    if head.ip in (head.network.network_address, head.network.broadcast_address):
        first = head.network.network_address + 1
        raise ValueError(
            f"no machine can be {head.ip}; write {first}/{head.network.prefixlen} if the head is {first}"
        )


def has_room(subnet: str, guests: str) -> bool:
    """Whether a range of guests, `10.42.0.200-10.42.0.220`, is inside a subnet and beside the head."""
    head = ipaddress.IPv4Interface(subnet)
    first, last = (ipaddress.IPv4Address(one) for one in guests.split("-"))
    inside = first in head.network and last in head.network and last != head.network.broadcast_address
    return inside and not first <= head.ip <= last


def _mac(cluster: str, number: int, low_bits: int) -> str:
    return _hashed(cluster, low_bits, _checked(number))


def _hashed(cluster: str, low_bits: int, last: int) -> str:
    digest = hashlib.sha256(f"terrible gadget {cluster}".encode()).digest()
    return bytes([digest[0] & 0xF8 | low_bits, *digest[1:5], last]).hex(":")


def _checked(number: int) -> int:
    if not FIRST <= number <= LAST:
        raise ValueError(f"slot numbers are {FIRST} to {LAST}, not {number}")
    return number
