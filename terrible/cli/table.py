"""A board as a table of 80 columns or fewer, with a bar for each boot."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from terrible.cli.board import Board, Row

WIDTH = 80
BAR, SHORTEST = 16, 4
PHASE = 11
GAP = 2
STYLES = {
    "off": "dim",
    "waiting": "dim",
    "rom": "yellow",
    "loading": "cyan",
    "starting": "blue",
    "up": "bold green",
    "disk": "green",
    "failed": "bold red",
    "quarantined": "bold red",
    "lost": "red",
    "halted": "dim",
    "flashing": "magenta",
}


def table(board: Board, width: int = WIDTH) -> Group:
    """The headline and a line for each slot, in so many columns."""
    rows = board.rows
    headline = Text(board.headline(), no_wrap=True, overflow="ellipsis", style="bold")
    slots = Table(box=None, padding=0, pad_edge=False)  # versions of rich count padding differently
    slot, port, phase, boot, rest = _widths(rows, min(WIDTH, width))
    for heading, room in (("slot", slot), ("port", port), ("phase", phase), ("boot", boot), ("", rest)):
        slots.add_column(heading, width=room + GAP * (heading != ""), no_wrap=True)
    for row in rows:
        style = "dim" if row.stale else STYLES.get(row.phase, "")
        slots.add_row(
            _fitting(row.name, slot),
            _fitting(row.location, port),
            _fitting(row.doing, phase, style),
            ProgressBar(total=1.0, completed=row.share, width=boot),
            _fitting(row.note, rest),
        )
    return Group(headline, slots)


def _fitting(said: str, width: int, style: str = "") -> Text:
    text = Text(said, style=style)
    text.truncate(width, overflow="ellipsis")
    return text


def _widths(rows: Sequence[Row], width: int) -> tuple[int, int, int, int, int]:
    """Names and ports are whole unless they are very long; bars and notes share what is left."""
    slot = min(16, max([4, *(len(row.name) for row in rows)]))
    port = min(12, max([4, *(len(row.location) for row in rows)]))
    left = width - slot - port - PHASE - 4 * GAP
    bar = max(SHORTEST, min(BAR, left // 3))
    return slot, port, PHASE, bar, max(0, left - bar)
