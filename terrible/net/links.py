"""Woken when links, addresses or routes change. Whoever is woken looks for himself what is so now."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from terrible.net import rtnetlink
from terrible.net.rtnetlink import Seen

_LONGEST = 65536
_BUFFER = 1 << 20


class Links:
    """`groups` are RTMGRP_… of rtnetlink; `seen` is told of MACs on bridge ports."""

    def __init__(self, groups: int, seen: Callable[[Seen], None] = lambda _: None) -> None:
        self._groups, self._seen = groups, seen
        self._changed = asyncio.Event()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Listen from now on. Nobody needs any rights for that."""
        listening = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listening.bind((0, self._groups))
        asyncio.get_running_loop().add_reader(listening.fileno(), self._read, listening)
        self._socket = listening

    def close(self) -> None:
        """Listen no longer."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    async def changed(self, limit: float) -> bool:
        """Return when something has changed since the last call, at the latest after `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            self._changed.clear()
        return True

    def wake(self) -> None:
        """As if something had changed."""
        self._changed.set()

    def _read(self, listening: socket.socket) -> None:
        try:
            data = listening.recv(_LONGEST)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: more has changed than there was room for
            self._changed.set()
            return
        for event in rtnetlink.parse(data):
            if isinstance(event, Seen):
                self._seen(event)
            else:
                self._changed.set()
