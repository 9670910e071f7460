"""`terrible log`: the last transcript of a slot, which its agent has left at the broker."""

from __future__ import annotations

import logging
import shutil

from rich.console import Console

from terrible.cli.loop import run
from terrible.cli.saying import say
from terrible.cli.target import TOLD, Where, check_agent, reached
from terrible.cli.waterfall import waterfall
from terrible.errors import HostError, UsageError
from terrible.mqtt.topics import Kind, is_name
from terrible.remote.heard import Boot
from terrible.remote.tree import Tree


def log(where: Where, slot: str) -> int:
    """Show it. It stays true when its agent has gone."""
    return run(lambda: _log(where, slot), logging.WARNING)


async def _log(where: Where, slot: str) -> None:
    boot = await _found(where, slot)
    say(Console(), *waterfall(slot, boot, shutil.get_terminal_size().columns))


async def _found(where: Where, slot: str) -> Boot:
    if not is_name(slot):
        raise UsageError("SLOT: one name, node2 say; terrible status lists them")
    async with reached(where, "log") as (visit, cluster):
        tree = Tree(cluster)
        topics = [
            tree.topics.every(Kind.STATUS),
            tree.topics.every(Kind.INFO),
            tree.topics.of(Kind.BOOT, slot),
        ]
        await visit.listen(topics, tree.take)
        await visit.until(lambda: slot in tree.boots or _is_unknown(tree, slot), TOLD)
    if slot in tree.boots:
        return tree.boots[slot]
    check_agent(tree, visit.address)
    if _is_unknown(tree, slot):
        raise UsageError(f"SLOT: there is no slot {slot}; there are {', '.join(tree.names) or 'none'}")
    raise HostError(f"{slot} has made no attempt to boot yet; terrible boot {slot} makes one")


def _is_unknown(tree: Tree, slot: str) -> bool:
    return tree.info is not None and slot not in tree.names
