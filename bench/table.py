"""The small table that every benchmark prints: figure, goal, their ratio, and how noisy it was."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure. Without a goal it is only reported; `samples` say how noisy it was."""

    what: str
    samples: Sequence[float]
    unit: str = ""
    goal: float | None = None

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    def cells(self) -> list[str]:
        goal = "" if self.goal is None else f"<= {self.goal:g}"
        ratio = f"{self.value / self.goal:.2f}" if self.goal else ""
        verdict = "" if self.goal is None else ("met" if self.value <= self.goal else "MISSED")
        return [self.what, _figure(self.value), self.unit, goal, ratio, verdict, self._spread()]

    def _spread(self) -> str:
        if len(self.samples) < 2:
            return ""
        return f"{_figure(min(self.samples))} .. {_figure(max(self.samples))}, n = {len(self.samples)}"


def show(title: str, rows: Sequence[Row]) -> None:
    """Print it. The ratio is figure / goal: 1 or less is good."""
    print(f"\n{title}\n{machine()}")
    heads = ["figure", "median", "", "goal", "ratio", "", "spread"]
    lines = [heads, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def machine() -> str:
    """Where and when: a figure without them is worth nothing."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": unknown CPU")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    name = model.partition(":")[2].strip()
    python = f"Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} x {name}, {python}, load {load}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
