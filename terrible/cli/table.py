"""A board as a table of 80 columns, with a bar for each boot."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from terrible.cli.board import Board, Row

WIDTH = 80
BAR = 16
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
}


def table(board: Board) -> Group:
    """The headline and a line for each slot."""
    rows = board.rows
    headline = Text(board.headline(), no_wrap=True, overflow="ellipsis", style="bold")
    slots = Table(box=None, pad_edge=False, expand=False)
    for heading, width in _columns(rows):
        slots.add_column(heading, width=width, no_wrap=True, overflow="ellipsis")
    for row in rows:
        style = "dim" if row.stale else STYLES.get(row.phase, "")
        bar = ProgressBar(total=1.0, completed=row.share, width=BAR)
        slots.add_row(row.name, row.location, Text(row.phase, style=style), bar, Text(row.note))
    return Group(headline, slots)


def _columns(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Headings and widths: names and ports are whole unless they are very long, notes get what is left."""
    slot = min(16, max([4, *(len(row.name) for row in rows)]))
    port = min(12, max([4, *(len(row.location) for row in rows)]))
    rest = WIDTH - slot - port - PHASE - BAR - 4 * GAP
    return [("slot", slot), ("port", port), ("phase", PHASE), ("boot", BAR), ("", rest)]
