"""`terrible flash --direct`: the agent itself for one flash, on the head, without a broker.

It has the chosen slots alone and holds the agent's lock, so that no agent serves them meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console

from terrible.agent import Agent
from terrible.cli import assemble, settings
from terrible.cli.board import Board
from terrible.cli.loop import complain, run
from terrible.cli.outcome import failure, outcome
from terrible.cli.screen import Screen
from terrible.cli.target import STANDARD, Interrupted
from terrible.config import Config
from terrible.configfile import ConfigError, load
from terrible.errors import HostError, UsageError
from terrible.model import Answer, Request
from terrible.mqtt import payloads
from terrible.peers import Refused, check_owner
from terrible.remote.heard import Response, read
from terrible.remote.question import Question
from terrible.seams import Disks, News
from terrible.slots import UnknownSlot, expand
from terrible.storage.client import DiskHelper
from terrible.storage.disks import CardDisks, Named, PipedDisks

SESSION = "direct"


class OneRequest:
    """The `Broker` of an agent that is asked for one thing, and is over when that is."""

    def __init__(self, question: Question, board: Board, screen: Screen) -> None:
        self.over = asyncio.Event()
        self._question, self._board, self._screen = question, board, screen
        self._topics = board.tree.topics
        status = payloads.status(True, self._topics)
        board.take(status.topic, status.payload)  # no news to whoever has just started it

    def tell(self, news: News) -> None:
        """Show it, as if it had come from a broker."""
        for one in payloads.publications(news, self._topics, SESSION, time.time()):
            self._hear(one)

    def answer(self, request: Request, answer: Answer) -> None:
        """The last answer ends it."""
        said = read(Response, payloads.response(request, answer, self._topics).payload)
        if said is not None:
            self._screen.show(self._question.take(said))
        if self._question.last is not None:
            self.over.set()

    async def requests(self) -> AsyncIterator[Request]:
        """The one."""
        asked = self._question
        yield Request(asked.verb, asked.slots, force=asked.force, id=asked.id, image=asked.image)
        await asyncio.Event().wait()

    async def run(self) -> None:
        """There is nothing to keep connected to."""
        await asyncio.Event().wait()

    def _hear(self, publication: payloads.Publication) -> None:
        self._screen.show(self._board.take(publication.topic, publication.payload))


def flash(
    image: str, slots: str, path: Path | None, named: tuple[Path | None, str | None], *, force: bool
) -> int:
    """Write the image, with bmap and sha256 where they are named; 0 where every card is whole."""
    path = path or STANDARD
    try:
        if image == "-" and sys.stdin.isatty():
            raise UsageError("IMAGE: - is standard input, and that is a terminal; pipe an image into it")
        config, names = _chosen(path, slots)
        beside = _beside(*named)
    except HostError as error:
        return complain(error)
    question = Question("flash", ",".join(names), "", force, image if image == "-" else Path(image).name)
    code = run(lambda: _flash(config, path, image, question, beside), logging.WARNING)
    if code or question.last is None:
        return code
    for line in outcome(question):
        print(line)
    return complain(failure(question)) if question.failed else code


def _chosen(path: Path, slots: str) -> tuple[Config, list[str]]:
    try:
        config = load(path)
        if os.geteuid() == 0:  # our own terrible-disk would ask the same, when the nodes are down
            check_owner(path.stat(), path)
    except (ConfigError, Refused) as error:
        raise UsageError(str(error)) from None
    if config.files.mass_storage is None:
        raise UsageError(f"{path}: files.mass_storage is missing; docs/flash.md tells which directory it is")
    try:
        names = expand(slots, [slot.name for slot in config.named_slots()])
    except (ValueError, UnknownSlot) as error:
        raise UsageError(f"SLOTS: {error}") from None
    if not names:
        raise UsageError(f"SLOTS: {path} has no slots")
    alone = {"net": config.net.model_copy(update={"enabled": False})}
    return config.only(names).model_copy(update=alone), names


def _beside(bmap: Path | None, sha256: str | None) -> Named:
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"--sha256: {sha256!r} is not 64 hexadecimal digits, as sha256sum prints them")
    return Named(str(bmap.absolute()) if bmap else None, sha256)


async def _flash(config: Config, path: Path, image: str, question: Question, beside: Named) -> None:
    board = Board(config.cluster)

    def cards(helper: DiskHelper) -> Disks:
        keys = settings.host_keys(config)
        if image == "-":
            return PipedDisks(helper, os.dup(0), keys, beside)
        return CardDisks(helper, Path(image).absolute().parent, keys, beside)

    with Screen(Console(), board) as screen:
        broker = OneRequest(question, board, screen)
        async with assemble.agent(config, path, broker, cards) as agent:
            await _until(broker.over, agent)


async def _until(over: asyncio.Event, agent: Agent) -> None:
    """Run the agent until that is so. Whatever ends this ends it in order, while its bus is still there."""
    running = asyncio.create_task(agent.run(), name="agent")
    done = asyncio.create_task(over.wait())
    try:
        await asyncio.wait({running, done}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        raise Interrupted("interrupted: a card that was being written is not whole; flash it again") from None
    finally:
        running.cancel()
        done.cancel()
        await asyncio.wait({running, done})
    if not running.cancelled() and (failed := running.exception()):
        raise failed
