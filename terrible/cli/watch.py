"""`terrible watch`, `status` and `events`: what an agent tells, as a picture, as a list, as it comes."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from rich.console import Console

from terrible.cli.board import Board
from terrible.cli.listing import listing
from terrible.cli.loop import run
from terrible.cli.saying import say
from terrible.cli.screen import Screen
from terrible.cli.target import TOLD, Where, check_agent, reached
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.topics import Kind
from terrible.remote.heard import Happening
from terrible.remote.line import Line
from terrible.remote.tree import Tree


def status(where: Where, as_json: bool) -> int:
    """How the cluster stands now. 3 where there is no agent: what the last one said is shown then."""
    return run(lambda: _status(where, as_json, Console()), logging.WARNING)


def watch(where: Where) -> int:
    """How it stands from now on, until Ctrl-C."""
    return run(lambda: _watch(where, Console()), logging.ERROR)


def events(where: Where) -> int:
    """What happens from now on, until Ctrl-C."""
    return run(lambda: _events(where, Console()), logging.WARNING)


async def _status(where: Where, as_json: bool, console: Console) -> None:
    async with reached(where, "status") as (visit, cluster):
        board, raw = Board(cluster), dict[str, Any]()
        await visit.listen(board.filters, lambda topic, payload: _keep(raw, board, topic, payload))
        await visit.until(lambda: _is_told(board.tree), TOLD)
        width = console.width if console.is_terminal else None  # programs want whole lines
        say(console, *([document(board.tree, raw)] if as_json else listing(board, time.time(), width)))
        check_agent(board.tree, visit.address)


async def _watch(where: Where, console: Console) -> None:
    address, cluster = await _met(where)
    board = Board(cluster)
    with Screen(console, board) as screen:

        def cut() -> None:
            board.tree.cut_off()
            screen.show(f"the broker at {address} has gone; trying on")

        def take(topic: str, payload: bytes, retained: bool) -> None:
            screen.show(board.take(topic, payload))

        await Line(address, "watch", board.filters, take, cut).run()


async def _events(where: Where, console: Console) -> None:
    address, cluster = await _met(where)
    tree = Tree(cluster)
    filters = [tree.topics.every(kind) for kind in (Kind.STATUS, Kind.EVENT)]

    def take(topic: str, payload: bytes, retained: bool) -> None:
        said = tree.said
        name, heard = tree.take(topic, payload)
        if isinstance(heard, Happening):
            say(console, event(name, heard))
        elif tree.said != said:
            print(f"agent of {cluster} {'online' if tree.said else 'offline'}", file=sys.stderr, flush=True)

    await Line(address, "events", filters, take, tree.cut_off).run()


async def _met(where: Where) -> tuple[BrokerAddress, str]:
    """The broker and the cluster. NoAgent where there has never been one: the name may be mistyped."""
    async with reached(where, "watch") as (visit, cluster):
        tree = Tree(cluster)
        await visit.listen([tree.topics.every(Kind.STATUS)], tree.take)
        if not await visit.until(lambda: tree.said is not None, TOLD):
            check_agent(tree, visit.address)
        return visit.address, cluster


def event(name: str, heard: Happening) -> str:
    """One event as a line, with the local time of when it happened."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(heard.ts))
    return f"{when}  {name}  {heard.event_type}" + (f": {heard.message}" if heard.message else "")


def document(tree: Tree, raw: dict[str, Any]) -> str:
    """All that is told as JSON: `info` and each slot's state as they were published."""
    agent = {None: "unknown", True: "online", False: "offline"}[tree.said]
    slots = {name: raw.get(tree.topics.of(Kind.STATE, name)) for name in tree.names}
    info = raw.get(tree.topics.of(Kind.INFO))
    told = {"v": 1, "cluster": tree.topics.cluster, "agent": agent, "info": info, "slots": slots}
    return json.dumps(told, indent=2)


def _keep(raw: dict[str, Any], board: Board, topic: str, payload: bytes) -> None:
    _, heard = board.tree.take(topic, payload)
    if heard is not None:
        raw[topic] = json.loads(payload)


def _is_told(tree: Tree) -> bool:
    """Whether nothing more is to be expected: of an agent that has gone, what it left behind is all."""
    return tree.complete or (tree.said is False and tree.told)
