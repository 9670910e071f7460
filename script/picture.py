"""Run the demo into a recording console and export what a person sees of it as SVG."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

from terrible.cli import demo as command
from terrible.cli.board import Board
from terrible.cli.demo import Demo
from terrible.cli.table import table
from terrible.sim.faults import Kind

MOMENT = "starting"
"""The phase of the first node in which the picture is taken: all bars are in motion then."""


def main(path: Path) -> None:
    """Write the picture: the board at one moment, and the line with which the demo ends."""
    taken: list[object] = []
    take = Board.take

    def watched(board: Board, topic: str, payload: bytes) -> str | None:
        line = take(board, topic, payload)
        if not taken and any(row.phase == MOMENT for row in board.rows):
            taken.append(table(board))
        return line

    Board.take = watched  # type: ignore[method-assign]
    told = io.StringIO()
    asyncio.run(command.show(Demo(4, 2.0, Kind.BOOTCODE_STALLS, None, once=True), Console(file=told)))
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ script/demo --once", style="bold"))
    console.print(Group(*taken))  # type: ignore[arg-type]
    console.print(Text("…", style="dim"))
    console.print(told.getvalue().splitlines()[-1], highlight=False)
    path.parent.mkdir(exist_ok=True)
    # Without the font's address: a picture that is looked at must not call anybody.
    svg = console.export_svg(title="terrible demo", unique_id="demo")
    path.write_text(_without_font_faces(svg))


def _without_font_faces(svg: str) -> str:
    while (start := svg.find("@font-face")) >= 0:
        svg = svg[:start] + svg[svg.index("}", start) + 1 :]
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
