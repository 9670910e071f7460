"""Where a soak writes what it found: a line per cycle as it happens, the reports at the end."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path

from terrible.errors import HostError, UsageError
from terrible.soak import plot, report
from terrible.soak.record import Cycle
from terrible.soak.report import About
from terrible.soak.run import Book, Plan


class Folder:
    """The files of one soak. `said` is its last line, `good` whether all that was planned came up."""

    def __init__(self, directory: Path) -> None:
        self.said, self.good = "", False
        self._directory = directory
        self._about: About | None = None
        self._lines: TextIOWrapper | None = None
        if (directory / "cycles.csv").exists():
            raise UsageError(f"--out: {directory} holds a soak already; name another directory")

    def begin(self, about: About) -> None:
        """Open cycles.csv. HostError where it cannot be written."""
        self._about = about
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lines = (self._directory / "cycles.csv").open("x", encoding="utf-8", buffering=1)
            self._lines.write(report.csv_head())
        except OSError as error:
            raise HostError(f"{self._directory}: {error.strerror}; name another place with --out") from None

    def add(self, cycle: Cycle) -> None:
        """A cycle has ended."""
        assert self._lines is not None
        try:
            self._lines.write(report.csv_line(cycle))
        except OSError as error:
            raise HostError(f"{self._lines.name}: {error.strerror}") from None

    def end(self, book: Book, plan: Plan) -> None:
        """Write the reports about all that is in the book."""
        assert self._about is not None and self._lines is not None
        self._lines.close()
        about = replace(
            self._about, ended=time.time(), notes=(*book.notes, *_cut_short(book, self._about, plan))
        )
        for name, text in (
            ("report.md", report.page(book.cycles, about)),
            ("report.json", report.document(book.cycles, about)),
            ("plot.svg", plot.picture(book.cycles, about)),
        ):
            try:
                (self._directory / name).write_text(text, encoding="utf-8")
            except OSError as error:
                raise HostError(f"{self._directory / name}: {error.strerror}") from None
        counted = [cycle for cycle in book.cycles if cycle.counts]
        self.good = bool(counted) and not book.notes and all(c.outcome == "up" for c in counted)
        self.said = f"{report.line(book.cycles, about)}; {self._directory / 'report.md'}"


def _cut_short(book: Book, about: About, plan: Plan) -> list[str]:
    """What was not done of a plan that counts."""
    if plan.cycles is None:
        return []
    done = Counter(cycle.slot for cycle in book.cycles if cycle.counts)
    missing = [name for name in about.slots if done[name] < plan.cycles]
    return (
        [f"Ended before {plan.cycles} cycles: " + ", ".join(f"{n} {done[n]}" for n in missing)]
        if missing
        else []
    )
