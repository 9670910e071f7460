"""Asks one interface who answers DHCP there: a DHCPDISCOVER and its offers, past every filter of the head.

An offer's frame reaches the packet sockets of a device before its bridge takes it, and so before nft's bridge
family can drop it: `__netif_receive_skb_core` (Linux, net/core/dev.c) walks `ptype_all` first and calls the
bridge's `rx_handler` after it. Sockets for one protocol come last and see nothing of a bridge port, hence
ETH_P_ALL. What leaves through such a socket passes no bridge and no netfilter hook either.
"""

from __future__ import annotations

import array
import asyncio
import functools
import secrets
import socket
import struct

from terrible.net import dhcp
from terrible.net.dhcp import Offer

PATIENCE = 5.0
"""Seconds after which who has not answered will not: dnsmasq, NetworkManager's too, pings what it is about to
offer for 3 s first (PING_WAIT in its config.h), ISC's dhcpd for 1 s."""
ASKED = 5
"""Times: the first question may be lost where the other end is just coming up."""
MOST = 64
"""Different offers that are kept; a stranger may make up any number."""
_ETH_P_ALL = 0x0003
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_LONGEST = 2048
# Classic BPF as `tcpdump -dd 'udp dst port 68'` for IPv4 prints it, so that a busy link does not wake us for
# each of its frames: code, where to jump if true and if false, and what with (linux/filter.h).
_FILTER = (
    (0x28, 0, 0, 12),  # ethertype
    (0x15, 0, 8, 0x0800),
    (0x30, 0, 0, 23),  # protocol
    (0x15, 0, 6, 17),
    (0x28, 0, 0, 20),  # a later fragment has no ports
    (0x45, 4, 0, 0x1FFF),
    (0xB1, 0, 0, 14),  # length of the IPv4 header
    (0x48, 0, 0, 16),  # port behind it
    (0x15, 0, 1, dhcp.CLIENT_PORT),
    (0x06, 0, 0, _LONGEST),
    (0x06, 0, 0, 0),
)


async def servers(
    interface: str, seconds: float, ignore: frozenset[str] = frozenset(), most: int = MOST
) -> list[Offer]:
    """Who offers an address behind `interface` within `seconds`, each server and MAC once, without `ignore`.

    It is over as soon as `most` have; less than PATIENCE finds only the quick ones. OSError where the
    interface is missing or down, or without CAP_NET_RAW.
    """
    xid = secrets.randbits(32)
    with _tap(interface) as tap:
        offers = await _ask(tap, xid, seconds, most)
    return [one for one in offers if one.server not in ignore]


async def _ask(tap: socket.socket, xid: int, seconds: float, most: int) -> list[Offer]:
    found: dict[tuple[str, str], Offer] = {}
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def hear() -> None:
        """One frame for each call: a flood must not keep the loop from everything else."""
        try:
            offer = dhcp.offer(tap.recv(_LONGEST))
        except BlockingIOError:
            return
        except OSError as error:  # the interface is down or gone
            loop.remove_reader(tap.fileno())
            if not over.done():
                over.set_exception(error)
            return
        if offer is not None and offer.xid == xid and len(found) < most:
            found.setdefault((offer.server, offer.source), offer)
        if len(found) >= most and not over.done():
            over.set_result(None)

    question = dhcp.discover(xid, _client())
    loop.add_reader(tap.fileno(), hear)
    try:
        for _ in range(ASKED):
            tap.send(question)
            await asyncio.wait({over}, timeout=seconds / ASKED)
            if over.done():
                over.result()
                break
    finally:
        loop.remove_reader(tap.fileno())
    return list(found.values())


def _tap(interface: str) -> socket.socket:
    """A socket that hears the interface alone, and what the filter lets pass: until it is bound, nothing."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        program = array.array("B", b"".join(struct.pack("HBBI", *line) for line in _FILTER))
        fprog = struct.pack("HP", len(_FILTER), program.buffer_info()[0])
        tap.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
        tap.bind((interface, _ETH_P_ALL))
    except BaseException:
        tap.close()
        raise
    return tap


@functools.cache
def _client() -> bytes:
    """A MAC that nobody has: random, locally administered, unicast (IEEE 802).

    The same as long as this process lives: each new one would hold another address of a server's pool back.
    """
    first, *rest = secrets.token_bytes(6)
    return bytes([first & 0xFC | 0x02, *rest])
