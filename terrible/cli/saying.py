"""Lines for people and programs, whole whatever the width; who closes the pipe ends the command quietly."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, *lines: str) -> None:
    """Print them, as they are. On a closed pipe rich ends the process with 1, as the pipe's reader wished."""
    for line in lines:
        console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
