"""Just enough of an IPv4 host to be pinged: it answers ARP and ICMP echo for its one address."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

_ARP, _IPV4, _ICMP = 0x0806, 0x0800, 1
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_ETHERNET_HEADER = 14


class TinyHost:
    """Ethernet frames in, Ethernet frames out."""

    def __init__(self, mac: bytes, address: IPv4Address) -> None:
        self._mac = mac
        self._address = address.packed

    def receive(self, frame: bytes) -> bytes | None:
        """The answer to a frame, if it asks for one."""
        if len(frame) < _ETHERNET_HEADER:
            return None
        (kind,) = struct.unpack_from(">H", frame, 12)
        payload = frame[_ETHERNET_HEADER:]
        answer = {_ARP: self._arp, _IPV4: self._ipv4}.get(kind, lambda _: None)(payload)
        return answer and frame[6:12] + self._mac + struct.pack(">H", kind) + answer

    def _arp(self, packet: bytes) -> bytes | None:
        operation, sender_mac, sender, _, target = struct.unpack_from(">6xH6s4s6s4s", packet)
        if operation != 1 or target != self._address:
            return None
        return packet[:6] + struct.pack(">H6s4s6s4s", 2, self._mac, self._address, sender_mac, sender)

    def _ipv4(self, packet: bytes) -> bytes | None:
        header_length = (packet[0] & 0x0F) * 4
        (total,) = struct.unpack_from(">H", packet, 2)
        source, destination = packet[12:16], packet[16:20]
        if destination != self._address or packet[9] != _ICMP or packet[header_length] != _ECHO_REQUEST:
            return None
        echo = bytes([_ECHO_REPLY, 0, 0, 0]) + packet[header_length + 4 : total]
        echo = echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:]
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(echo), 0, 0, 64, _ICMP, 0, destination, source)
        return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + echo


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
