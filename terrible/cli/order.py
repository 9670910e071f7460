"""`terrible power`, `boot`, `release` and `probe`: ask the agent, and wait for what comes of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from terrible import slots
from terrible.cli.board import Board
from terrible.cli.loop import run
from terrible.cli.outcome import failure, outcome
from terrible.cli.saying import say
from terrible.cli.screen import Screen
from terrible.cli.target import TOLD, Interrupted, NoAgent, Where, check_agent, reached
from terrible.errors import HostError, UsageError
from terrible.mqtt.topics import Kind
from terrible.remote.heard import Response, read
from terrible.remote.line import Unreachable
from terrible.remote.question import Question
from terrible.remote.visit import Visit

ACCEPTED = 5.0
"""Seconds that the agent has to say that it has the request."""


def order(where: Where, question: Question, wait: bool) -> int:
    """Ask, and wait for the end, or without `wait` until the agent has it."""
    return run(lambda: _order(where, question, wait, Console()), logging.WARNING)


async def _order(where: Where, question: Question, wait: bool, console: Console) -> None:
    try:
        slots.check(question.slots)
    except ValueError as error:
        raise UsageError(f"SLOTS: {error}") from None
    try:
        async with reached(where, "order") as (visit, cluster):
            asking = _Asking(visit, cluster, question, console)
            await asking.ask()
            if wait and question.last is None:
                await asking.follow()
    except Interrupted:
        if question.last is None and (wait or not question.heard):
            raise
    if question.last is None:
        meant = ", ".join(question.meant)
        say(console, f"{question} accepted: {meant}; terrible watch shows what comes of it")
        return
    say(console, *outcome(question))
    if question.failed:
        raise failure(question)


class _Asking:
    """One request at one broker, and the board of the slots that it is about."""

    def __init__(self, visit: Visit, cluster: str, question: Question, console: Console) -> None:
        self._visit, self._question = visit, question
        self._board = Board(cluster)
        self._topics = self._board.tree.topics
        self._answers = self._topics.of(Kind.RESPONSE, question.verb)
        self._screen = Screen(console, self._board)
        self._shown = False

    async def ask(self) -> None:
        """Return once the agent has it, or has refused it."""
        tree, question = self._board.tree, self._question
        await self._visit.listen([*self._board.filters, self._answers], self._take)
        await self._visit.until(lambda: tree.said is not None, TOLD)
        check_agent(tree, self._visit.address)
        with self._going_on():
            await self._visit.send(question.publication(self._topics, time.time()))
            await self._visit.until(lambda: question.heard or not tree.said, ACCEPTED)
        if not question.heard:
            check_agent(tree, self._visit.address)
            raise HostError(
                f"the agent is online but has not answered in {ACCEPTED:g} s: may this user write to "
                f"{self._topics.of(Kind.REQUEST, question.verb)} and read {self._answers}? "
                "By MQTT 3.1.1 a broker says nothing of that; its rights are set at the broker"
            )

    async def follow(self) -> None:
        """Show how it goes until it has ended. NoAgent where the agent goes meanwhile."""
        question, tree = self._question, self._board.tree
        self._board.chosen = question.meant
        with self._screen, self._going_on():
            self._shown = True
            await self._visit.until(lambda: question.last is not None or not tree.said, None)
        if question.last is None:
            raise NoAgent(
                f"the agent has gone while {question} was under way; "
                "on its head, terrible check tells why; then ask again"
            )

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Whoever stops waiting now is told that this stops nothing."""
        question = self._question
        try:
            yield
        except asyncio.CancelledError:
            raise Interrupted(f"{question} goes on without you; terrible watch shows it") from None
        except Unreachable as error:
            raise Unreachable(
                f"{error} {question} goes on meanwhile; then terrible status shows it"
            ) from None

    def _take(self, topic: str, payload: bytes) -> None:
        line = self._board.take(topic, payload)
        if topic == self._answers and (answer := read(Response, payload)) is not None:
            line = self._question.take(answer)
        if self._shown:
            self._screen.show(line)
