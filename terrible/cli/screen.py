"""Where a board is shown: a live table on a terminal, a line for every change where it is none."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from terrible.cli.board import Board


class Screen:
    """Shows a board for the length of a block."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console, self._board = console, board
        self._live = Live(board.table(), console=console, refresh_per_second=10)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, line: str | None) -> None:
        """The board has changed; `line` tells what, if it is worth a line."""
        if self._console.is_terminal:
            self._live.update(self._board.table())
        elif line:
            self.say(line)

    def say(self, *lines: str) -> None:
        """Lines for people, above the table where there is one."""
        for line in lines:
            self._console.print(line, highlight=False, soft_wrap=True)
