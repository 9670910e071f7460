"""Slot names for the shell's completion: quickly, and silently nothing where that fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Sequence

from terrible.cli.target import TOLD, Where, reached, target
from terrible.errors import HostError
from terrible.mqtt.topics import Kind
from terrible.remote.tree import Tree
from terrible.slots import ALL

LIMIT = 1.0
"""Seconds that a person at a prompt waits for names, at most."""
_REACH = 0.4
"""Of these, for the way to the broker."""


def slot_names(where: Where, incomplete: str) -> list[str]:
    """What the last of several slots on the command line may become.

    In a thread that is left behind when time is up: looking up a name and connecting cannot be stopped.
    """
    logging.disable()
    names: list[str] = []
    asking = threading.Thread(target=_ask, args=(where, names), daemon=True)
    asking.start()
    asking.join(LIMIT)
    return completed(incomplete, list(names))


def completed(incomplete: str, names: Sequence[str]) -> list[str]:
    """`node1,no` with the names that may stand last; those that are there already are not offered."""
    before, comma, _ = incomplete.rpartition(",")
    taken = set(before.split(","))
    offered = [name for name in names if name not in taken] + ([] if comma or not names else [ALL])
    return [found for name in offered if (found := f"{before}{comma}{name}").startswith(incomplete)]


def _ask(where: Where, names: list[str]) -> None:
    with contextlib.suppress(HostError, OSError):
        address = target(where).address
        # A connection that hangs in here would keep the process from ending.
        socket.create_connection((address.host, address.port), _REACH).close()
        asyncio.run(_listed(where, names))


async def _listed(where: Where, names: list[str]) -> None:
    async with reached(where, "completion") as (visit, cluster):
        tree = Tree(cluster)
        await visit.listen([tree.topics.every(Kind.INFO)], tree.take)
        await visit.until(lambda: tree.info is not None, TOLD)
        names += tree.names
