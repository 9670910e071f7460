"""Programs that already have the ports which the node network's dnsmasq needs, found in /proc (proc(5)).

dnsmasq itself does not notice another one on port 67: both set SO_REUSEADDR and both start.
"""

from __future__ import annotations

import ipaddress
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
DNS, DHCP = 53, 67
_TABLES = ("udp", "udp6", "tcp", "tcp6")
# include/net/tcp_states.h: a TCP socket that listens, and a UDP socket that is connected to nobody, which is
# what one that serves looks like: net/ipv4/udp.c leaves it in TCP_CLOSE.
_SERVES = {"tcp": 0x0A, "udp": 0x07}
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Listener:
    """A program that serves a port; pid and program are None where this user may not see whose it is."""

    port: int
    protocol: str
    address: str
    pid: int | None
    program: str | None

    def __str__(self) -> str:
        who = f"{self.program or 'a program'}{f' (process {self.pid})' if self.pid else ''}"
        return f"{who} listens on {self.protocol} {self.address}:{self.port}"


def listeners(address: str, proc: Path = PROC) -> list[Listener]:
    """Who has port 53 where a dnsmasq on `address` wants it, or UDP port 67 anywhere.

    A resolver on another address, such as systemd-resolved on 127.0.0.53, is in nobody's way. Port 67 counts
    on any address: DHCP servers bind the wildcard and then one device, and /proc does not tell which.
    """
    sockets = [one for table in _TABLES for one in _serving(proc / "net" / table) if _clashes(one, address)]
    owners = _owners(proc, {one.inode for one in sockets}) if sockets else {}
    found = []
    for one in sockets:
        pid, program = owners.get(one.inode, (None, None))
        found.append(Listener(one.port, one.protocol, str(one.address), pid, program))
    return list(dict.fromkeys(found))  # a program may have several sockets alike (SO_REUSEPORT)


@dataclass(frozen=True, slots=True)
class _Socket:
    port: int
    protocol: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    inode: int


def _clashes(one: _Socket, address: str) -> bool:
    if one.port == DHCP:
        return one.protocol == "udp"
    # A wildcard of IPv6 is taken for one of IPv4 too (ipv6(7), IPV6_V6ONLY): /proc does not tell.
    return one.port == DNS and (one.address.is_unspecified or str(one.address) == address)


def _serving(table: Path) -> Iterator[_Socket]:
    """The sockets of one table that serve; none where the kernel has no such protocol."""
    protocol = table.name.removesuffix("6")
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
        if int(state, 16) == _SERVES[protocol]:
            where, _, port = local.partition(":")
            yield _Socket(int(port, 16), protocol, _address(where), int(inode))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Words of 32 bits, each as this machine has it in memory (net/ipv4/udp.c: udp4_format_sock)."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(
        struct.pack(f"{'<' if sys.byteorder == 'little' else '>'}{len(words)}I", *words)
    )
    return getattr(address, "ipv4_mapped", None) or address


def _owners(proc: Path, inodes: set[int]) -> dict[int, tuple[int, str | None]]:
    """Process and name for each socket that this user may see the owner of.

    Of several the first but systemd's: process 1 keeps the sockets that it opened for others.
    """
    owners: dict[int, tuple[int, str | None]] = {}
    for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        pid = int(process.name)
        for inode in _sockets(process) & inodes:
            if inode not in owners or owners[inode][0] == 1:
                owners[inode] = (pid, _name(process))
    return owners


def _sockets(process: Path) -> set[int]:
    """The sockets a process has; none of one that has just ended or is another user's."""
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            try:
                match = _SOCKET.fullmatch(str(descriptor.readlink()))
            except OSError:
                continue  # just closed
            if match:
                found.add(int(match[1]))
    except OSError:
        pass
    return found


def _name(process: Path) -> str | None:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return None
