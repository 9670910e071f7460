"""A DHCPDISCOVER and the offers that answer it, as whole Ethernet frames (RFC 2131, options RFC 2132). Pure.

What is parsed comes from strangers: whatever is not exactly an offer is None, and nothing here raises.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

SERVER_PORT, CLIENT_PORT = 67, 68
_IPV4, _UDP = 0x0800, 17
_BROADCAST = b"\xff" * 6
_FRAGMENT = 0x3FFF
"""More fragments, and the offset (RFC 791, 3.1): a part of a datagram is no datagram."""
_ANSWER_BY_BROADCAST = 0x8000
"""We have no address that an answer could be sent to (RFC 2131, 4.1)."""
_BOOTP = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_SHORTEST = 300
"""Octets; relays and servers may drop what is shorter (RFC 1542, 2.1)."""
_OVERLOAD, _MESSAGE, _SERVER, _WANTED = 52, 53, 54, 55
_DISCOVER, _OFFER = 1, 2
_PAD, _END = 0, 255


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server has offered: its identifier, the address it would give, and who put it on the wire."""

    server: str
    address: str
    xid: int
    source: str


def discover(xid: int, mac: bytes) -> bytes:
    """The question of a client with this MAC, to everybody; nothing is taken by asking it."""
    if len(mac) != 6:
        raise ValueError(f"a MAC has 6 bytes, not {len(mac)}")
    nobody = bytes(4)
    bootp = _BOOTP.pack(
        1, 1, 6, 0, xid, 0, _ANSWER_BY_BROADCAST, nobody, nobody, nobody, nobody, mac, b"", b"", _COOKIE
    )  # fmt: skip
    # Subnet mask and router: what every client wants, so that a server that is picky sees an ordinary one.
    options = bytes([_MESSAGE, 1, _DISCOVER, _WANTED, 2, 1, 3, _END])
    return _BROADCAST + mac + struct.pack("!H", _IPV4) + _datagram((bootp + options).ljust(_SHORTEST, b"\0"))


def offer(frame: bytes) -> Offer | None:
    """The offer in a frame, else None."""
    if frame[12:14] != struct.pack("!H", _IPV4):
        return None
    sender, message = _payload(frame[14:])
    if len(message) < _BOOTP.size:
        return None
    op, _, _, _, xid, _, _, _, given, _, _, _, name, file, cookie = _BOOTP.unpack_from(message)
    options = _options(message[_BOOTP.size :])
    overload = int.from_bytes(options.get(_OVERLOAD, b"")[:1])
    for field, bit in ((file, 1), (name, 2)):  # RFC 2131, 4.1: first file, then sname
        options = (_options(field) if overload & bit else {}) | options
    if op != 2 or cookie != _COOKIE or options.get(_MESSAGE) != bytes([_OFFER]):
        return None
    server = options.get(_SERVER, b"")
    # Every offer must name its server (RFC 2131, table 3); one that does not is a server all the same.
    return Offer(_text(server if len(server) == 4 else sender), _text(given), xid, frame[6:12].hex(":"))


def _datagram(data: bytes) -> bytes:
    """IPv4 and UDP from nobody to everybody around it."""
    size = 8 + len(data)
    source, target = bytes(4), b"\xff" * 4
    pseudo = source + target + struct.pack("!HH", _UDP, size)
    ports = struct.pack("!HHH", CLIENT_PORT, SERVER_PORT, size)
    check = _checksum(pseudo + ports + data) or 0xFFFF  # 0 would mean none (RFC 768)
    header = struct.pack("!BBHHHBB", 0x45, 0, 20 + size, 0, 0, 64, _UDP)
    header += struct.pack("!H", _checksum(header + source + target)) + source + target
    return header + ports + struct.pack("!H", check) + data


def _payload(packet: bytes) -> tuple[bytes, bytes]:
    """Sender and data of a whole UDP datagram from a DHCP server to a client; data is empty for all else.

    The checksum is not looked at: a sender on the same machine leaves it to hardware that never sees the
    packet, and a tap reads it unfinished (TP_STATUS_CSUMNOTREADY, packet(7)).
    """
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != _UDP:
        return b"", b""
    header = (packet[0] & 15) * 4
    total, _, fragment = struct.unpack_from("!HHH", packet, 2)
    datagram = packet[header : min(total, len(packet))]  # Ethernet pads short frames
    if header < 20 or total > len(packet) or fragment & _FRAGMENT or len(datagram) < 8:
        return b"", b""
    source, target, size = struct.unpack_from("!HHH", datagram)
    if (source, target) != (SERVER_PORT, CLIENT_PORT) or not 8 <= size <= len(datagram):
        return b"", b""
    return packet[12:16], datagram[8:size]


def _options(data: bytes) -> dict[int, bytes]:
    """Options by code, up to the end or to the first that is cut off; of two alike the first counts."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        value = data[at + 2 : at + 2 + data[at + 1]] if at + 1 < len(data) else b""
        if at + 1 >= len(data) or len(value) < data[at + 1]:
            break
        found.setdefault(data[at], value)
        at += 2 + len(value)
    return found


def _text(address: bytes) -> str:
    return str(ipaddress.IPv4Address(address))


def _checksum(data: bytes) -> int:
    """The ones' complement sum of RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
