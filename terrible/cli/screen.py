"""Where a board is shown: a live table on a terminal, a line for every change where it is none."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from terrible.cli.board import Board
from terrible.cli.saying import say
from terrible.cli.table import table

EVERY = 0.1
"""Seconds between two pictures: as many messages as come in between cost one."""


class Screen:
    """Shows a board for the length of a block, in a running loop."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console, self._board = console, board
        self._live = Live(console=console, auto_refresh=False)
        self._due: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
            self._paint()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._due is not None:
            self._due.cancel()
        if self._console.is_terminal:
            self._paint()
            self._live.stop()

    def show(self, line: str | None) -> None:
        """The board has changed; `line` tells what, if it is worth a line."""
        if not self._console.is_terminal:
            self.say(*([line] if line else []))
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(EVERY, self._paint)

    def say(self, *lines: str) -> None:
        """Lines for people, above the table where there is one."""
        say(self._console, *lines)

    def _paint(self) -> None:
        self._due = None
        self._live.update(table(self._board, self._console.width), refresh=True)
