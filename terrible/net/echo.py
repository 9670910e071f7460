"""Does an address answer? ICMP echo to all nodes over one socket, else a TCP connection, taken or refused.

Without rights where `net.ipv4.ping_group_range` has our group (icmp(7); systemd sets it to everybody), with
CAP_NET_RAW elsewhere, and by TCP alone where neither is so, or a node answers no echo.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from contextlib import suppress

_REPLY, _REQUEST = 0, 8
_SOL_RAW, _ICMP_FILTER = 255, 1
"""linux/icmp.h: a raw socket need not see what is no echo reply."""
_LONGEST = 2048


class Echo:
    """Asked from one loop. Nothing is open until somebody is asked."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._raw = self._tried = False
        self._identity = os.getpid() & 0xFFFF
        self._numbers = itertools.cycle(range(1, 1 << 16))
        self._waiting: dict[int, tuple[str, asyncio.Future[None]]] = {}

    async def answers(self, address: str, limit: float) -> bool:
        """Whether the address answers an echo request within `limit` seconds."""
        if not self._tried:
            self._open()
        if self._socket is None:
            return False
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = (address, answer)
        try:
            self._socket.sendto(request(self._identity, number), (address, 0))
            async with asyncio.timeout(limit):
                await answer
        except (OSError, TimeoutError):
            return False  # no way there, no room in the queue: nobody has answered
        finally:
            self._waiting.pop(number, None)
        return True

    def close(self) -> None:
        """Ask no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        self._socket, self._tried = None, False

    def _open(self) -> None:
        self._tried = True
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
            with suppress(PermissionError):
                self._socket = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
                self._raw = kind == socket.SOCK_RAW
                break
        if self._socket is None:
            return
        if self._raw:
            self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _REPLY) & 0xFFFFFFFF))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read, self._socket)

    def _read(self, opened: socket.socket) -> None:
        with suppress(OSError):  # an error that the network reported of an earlier request
            data, (address, _) = opened.recvfrom(_LONGEST)
            found = reply(data, self._identity if self._raw else None)
            waiting = self._waiting.get(found) if found is not None else None
            if waiting is not None and waiting[0] == address and not waiting[1].done():
                waiting[1].set_result(None)


async def connects(address: str, port: int, limit: float) -> bool:
    """Whether somebody is there: the connection is taken, or refused by a node that runs."""
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def banner(address: str, port: int, limit: float) -> str | None:
    """The first line that a service says, empty if it took the connection and said nothing; else None."""
    said = b""
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(address, port, limit=_LONGEST)
            try:
                said = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        return None
    except (OSError, ValueError):
        return None
    return said.decode(errors="replace").strip() if said else None


def request(identity: int, number: int) -> bytes:
    """An ICMP echo request (RFC 792). Pure."""
    header = struct.pack("!BBHHH", _REQUEST, 0, 0, identity, number)
    return struct.pack("!BBHHH", _REQUEST, 0, _checksum(header), identity, number)


def reply(data: bytes, identity: int | None) -> int | None:
    """The number of an echo reply; None for what is none. With `identity` an IP header comes first. Pure."""
    if identity is not None:
        if not data:
            return None
        data = data[(data[0] & 0x0F) * 4 :]
    if len(data) < 8:
        return None
    kind, code, its, number = struct.unpack_from("!BBxxHH", data)
    return int(number) if (kind, code) == (_REPLY, 0) and identity in (None, its) else None


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
