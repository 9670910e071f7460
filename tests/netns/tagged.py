"""An answer from port 67 below priority tags, sent by a node; and whether another node hears it.

`tagged.py send COUNT` puts one datagram to everybody's port 68 on `usb0`, below so many tags with VLAN 0;
`tagged.py hear` says `ready`, then `heard` or `nothing` within a second and a half.
"""

import socket
import struct
import sys


def frame(source: bytes, tags: int) -> bytes:
    payload = b"an offer"
    udp = struct.pack("!HHHH", 67, 68, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack("!10H", ip))
    ip = ip[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + ip[12:]
    return b"\xff" * 6 + source + b"\x81\x00\x00\x00" * tags + b"\x08\x00" + ip + udp


def send(tags: int) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("usb0", 0))
        out.send(frame(out.getsockname()[4], tags))


def hear() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"usb0")
        ear.bind(("", 68))
        ear.settimeout(1.5)
        print("ready", flush=True)
        try:
            ear.recv(100)
            print("heard", flush=True)
        except TimeoutError:
            print("nothing", flush=True)


if __name__ == "__main__":
    send(int(sys.argv[2])) if sys.argv[1] == "send" else hear()
