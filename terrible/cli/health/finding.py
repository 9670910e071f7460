"""What a look at this machine has found, and how it reads on a screen or in a bug report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from terrible.errors import HostError


class Level(StrEnum):
    """An ERROR is what `terrible run` or a slot of it would fail of; it works in spite of a WARNING."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


MARKS = {Level.OK: "ok", Level.NOTE: "note", Level.WARNING: "warn", Level.ERROR: "FAIL"}
_WHAT = 11
"""Characters for what was looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` is one line, and never empty for a warning or an error."""

    level: Level
    what: str
    said: str
    remedy: str = ""

    def lines(self) -> list[str]:
        """As printed. What files and programs are called comes from others: it stays on its line."""
        lines = [f"{MARKS[self.level]:<4}  {self.what:<{_WHAT}} {_printable(self.said)}"]
        if self.remedy:
            lines.append(f"{'':<4}  {'':<{_WHAT}} -> {_printable(self.remedy)}")
        return lines


def failed(what: str, error: HostError) -> Finding:
    """An error as the agent itself would say it: what is wrong, and after the semicolon what to do."""
    said, _, remedy = str(error).partition("; ")
    return Finding(Level.ERROR, what, said, remedy or "see what it names")


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
