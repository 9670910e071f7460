"""What a person sees of a cluster: its slots as rows, filled from MQTT messages alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

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
SHARE = {"waiting": 0.0, "off": 0.0, "failed": 0.0, "rom": 0.05, "loading": 0.1, "starting": 0.8, "up": 1.0}
"""Where a phase begins on the bar; loading moves from its own place to the next by bytes."""


@dataclass
class Row:
    """One slot as the last messages told."""

    name: str
    phase: str = "waiting"
    location: str = ""
    note: str = ""
    sent: int = 0
    failed: int = 0
    seconds: float | None = None

    def share(self, total: int) -> float:
        """How much of the boot is done, from 0 to 1."""
        begin = SHARE.get(self.phase, 0.0)
        if self.phase == "loading" and total:
            return begin + (SHARE["starting"] - begin) * min(1.0, self.sent / total)
        return begin


@dataclass
class Board:
    """All slots. `total` is about how many bytes a boot takes, for the bars.

    A broker may still hold what an earlier agent said: only states of this `session` count, if there is one.
    """

    total: int
    session: str = ""
    rows: dict[str, Row] = field(default_factory=dict)

    def take(self, topic: str, payload: bytes) -> str | None:
        """Take in one message; returns a line where a slot's phase has changed."""
        parts = topic.split("/")
        if len(parts) != 5 or parts[2] != "node" or not payload:
            return None
        name, kind = parts[3:]
        if kind == "state":
            return self._state(name, json.loads(payload))
        row = self.rows.get(name, Row(name))
        match kind:
            case "progress":
                row.sent = json.loads(payload)["sent"]
            case "boot":
                boot = json.loads(payload)
                row.seconds = boot["seconds"] if boot["outcome"] == "up" else row.seconds
                row.failed += boot["outcome"] == "failed"
        return None

    def _state(self, name: str, state: dict[str, Any]) -> str | None:
        if self.session not in ("", state["session"]):
            return None
        row = self.rows.setdefault(name, Row(name))
        before, row.phase = row.phase, str(state["phase"])
        row.location = state["location"]
        row.note = state["problem"]["message"] if state["problem"] else ", ".join(state["addresses"])
        if row.phase in ("waiting", "rom", "failed"):
            row.sent = 0
        if row.phase == before:
            return None
        return f"{row.name} {row.phase}" + (f": {row.note}" if row.note else "")

    @property
    def up(self) -> int:
        """How many slots are up."""
        return sum(row.phase == "up" for row in self.rows.values())

    @property
    def recovered(self) -> int:
        """How many of them failed before."""
        return sum(row.phase == "up" and row.failed > 0 for row in self.rows.values())

    def complete(self, nodes: int) -> bool:
        """Whether so many slots are up, each with the record of how it got there."""
        return self.up == nodes and all(row.seconds is not None for row in self.rows.values())

    def table(self) -> Table:
        """The rows as a table that fits 80 columns."""
        table = Table(box=None, pad_edge=False, expand=False)
        for heading, width in (("slot", 8), ("port", 7), ("phase", 11), ("boot", 22), ("", 26)):
            table.add_column(heading, width=width, no_wrap=True, overflow="ellipsis")
        for name in sorted(self.rows, key=_natural):
            row = self.rows[name]
            style = STYLES.get(row.phase, "")
            bar = ProgressBar(total=1.0, completed=row.share(self.total), width=22)
            note = row.note if row.phase != "up" else f"{row.note}  {row.seconds or 0:.1f} s"
            table.add_row(row.name, row.location, Text(row.phase, style=style), bar, Text(note))
        return table


def _natural(name: str) -> tuple[str, int]:
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0)
