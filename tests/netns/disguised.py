"""What only a server says, sent by a node in a disguise; and whether another node hears it.

`disguised.py send DISGUISE FROM TO` sends one datagram from this port to everybody's port, or a router's
advertisement, on `usb0`, and after it a plain datagram to port 9. `disguised.py hear TO` says `ready`, and
what it has heard once it has heard the plain one: `datagram`, `router`, `plain`.
"""

import os
import select
import socket
import struct
import sys

PLAIN = 9
TAG, SERVICE_TAG = b"\x81\x00\x00\x00", b"\x88\xa8\x00\x00"
"""Of VLAN 0 (IEEE 802.1Q, 802.1ad)."""
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
ALL_NODES, ROUTER = (socket.inet_pton(socket.AF_INET6, one) for one in ("ff02::1", "fe80::bad"))
NOTHING = bytes([1, 4, 0, 0, 0, 0])
"""An IPv6 option that pads, as an extension header's only one (RFC 8200, 4.2)."""


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def udp(source: int, to: int) -> bytes:
    """With the checksum of IPv6's pseudo-header; over IPv4 it goes without."""
    payload = b"an offer" * 2
    return struct.pack("!HHHH", source, to, 8 + len(payload), 0) + payload


def ipv4(payload: bytes, options: bytes = b"", number: bytes = b"\0\1", fragment: int = 0) -> bytes:
    """`fragment` is flags and offset, as they are in the header."""
    words, length = 5 + len(options) // 4, 20 + len(options) + len(payload)
    head = struct.pack(
        "!BBH2sHBBH4s4s", 0x40 | words, 0, length, number, fragment, 64, 17, 0, bytes(4), b"\xff" * 4
    )
    head += options
    return IPV4 + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def fragments(payload: bytes) -> list[bytes]:
    """The ports in the first, everything else in the second."""
    number = os.urandom(2)
    return [ipv4(payload[:8], b"", number, 0x2000), ipv4(payload[8:], b"", number, 1)]


def ipv6(payload: bytes, protocol: int = 17) -> bytes:
    return (
        IPV6 + struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 255, ROUTER, ALL_NODES) + payload
    )


def summed(payload: bytes, protocol: int, at: int) -> bytes:
    """With its checksum over the pseudo-header (RFC 8200, 8.1) at this offset."""
    pseudo = ROUTER + ALL_NODES + struct.pack("!II", len(payload), protocol)
    return payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2 :]


def fragments6(payload: bytes) -> list[bytes]:
    number = os.urandom(4)
    first, rest = (struct.pack("!BBH4s", 17, 0, where, number) for where in (1, 8))
    return [ipv6(first + payload[:8], 44), ipv6(rest + payload[8:], 44)]


def disguise(name: str, source: int, to: int) -> list[bytes]:
    """From the type on; what is before it is the sender's."""
    old, new = udp(source, to), summed(udp(source, to), 17, 6)
    router = summed(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), 58, 2)
    return {
        "none": [ipv4(old)],
        "options": [ipv4(old, b"\1" * 8)],
        "fragments": fragments(old),
        "fragments, last first": fragments(old)[::-1],
        "tag": [TAG + ipv4(old)],
        "two tags": [TAG * 2 + ipv4(old)],
        "service tag": [SERVICE_TAG + ipv4(old)],
        "both tags": [SERVICE_TAG + TAG + ipv4(old)],
        "tagged fragments": [TAG + one for one in fragments(old)],
        "ipv6": [ipv6(new)],
        "ipv6 options": [ipv6(bytes([60, 0]) + NOTHING + bytes([17, 0]) + NOTHING + new, 0)],
        "ipv6 fragments": fragments6(new),
        "ipv6 tag": [TAG + ipv6(new)],
        "ipv6 two tags": [TAG * 2 + ipv6(new)],
        "router": [ipv6(router, 58)],
        "router options": [ipv6(bytes([58, 0]) + NOTHING + router, 0)],
        "router tag": [TAG + ipv6(router, 58)],
        "router two tags": [TAG * 2 + ipv6(router, 58)],
    }[name]


def send(name: str, source: int, to: int) -> None:
    os.sched_setaffinity(
        0, {min(os.sched_getaffinity(0))}
    )  # in this order, for there is one queue for each CPU
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("usb0", 0))
        for frame in [*disguise(name, source, to), ipv4(udp(2000, PLAIN))]:
            out.send(b"\xff" * 6 + out.getsockname()[4] + frame)


def ear(family: int, kind: int, where: int) -> socket.socket:
    made = socket.socket(family, kind, socket.IPPROTO_ICMPV6 if kind == socket.SOCK_RAW else 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"usb0")
    if family == socket.AF_INET6 and kind == socket.SOCK_DGRAM:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(("", where))
    return made


def hear(to: int) -> None:
    last = ear(socket.AF_INET, socket.SOCK_DGRAM, PLAIN)
    datagrams = [ear(family, socket.SOCK_DGRAM, to) for family in (socket.AF_INET, socket.AF_INET6)]
    routers = ear(socket.AF_INET6, socket.SOCK_RAW, 0)
    print("ready", flush=True)
    said: set[str] = set()
    while "plain" not in said:
        for one in select.select([*datagrams, routers, last], [], [])[0]:
            data = one.recv(2000)
            if one is not routers or data[0] == 134:
                said.add("plain" if one is last else "router" if one is routers else "datagram")
    print(*sorted(said), flush=True)


if __name__ == "__main__":
    send(sys.argv[2], *map(int, sys.argv[3:])) if sys.argv[1] == "send" else hear(int(sys.argv[2]))
