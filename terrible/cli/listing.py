"""The slots of a cluster as a list for the eye and for grep: one line each. [pure]"""

from __future__ import annotations

from terrible.cli.board import Board, Row

_HEADINGS = ("slot", "port", "phase", "since", "boot", "")


def listing(board: Board, now: float, width: int | None) -> list[str]:
    """The headline and a line for each slot, cut off after `width` columns; `now` is Unix time."""
    cells = [_HEADINGS, *(_cells(row, now) for row in board.rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS) - 1)]
    lines = ["  ".join([*map(str.ljust, line, widths), line[-1]]).rstrip() for line in cells]
    return [_cut(line, width) for line in [board.headline(), *(lines if len(lines) > 1 else [])]]


def age(seconds: float) -> str:
    """A span of time in its two largest units, less where it is short."""
    left = max(0, round(seconds))
    for unit, size, next_unit, next_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if left >= size:
            return f"{left // size} {unit} {left % size // next_size} {next_unit}"
    return f"{left // 60} min" if left >= 60 else f"{left} s"


def _cells(row: Row, now: float) -> tuple[str, ...]:
    boot = "" if row.seconds is None else f"{row.seconds:.1f} s"
    note = row.note.removesuffix(boot).rstrip() if boot else row.note
    return (row.name, row.location, row.phase, age(now - row.since), boot, note)


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"
