"""The table of metrics in docs/prometheus.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "prometheus.md"
_ROW = re.compile(r"\| `(terrible_\w+)` \| (\w+) \|([^|]*)\|")


@dataclass(frozen=True)
class Row:
    name: str
    type: str
    labels: frozenset[str]


def rows() -> list[Row]:
    """One per metric."""
    found = _ROW.findall(DOCS.read_text())
    return [Row(name, kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in found]


def block(language: str, beginning: str) -> str:
    """The fenced block of this language that begins so."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (found,) = (text for text in blocks if text.startswith(beginning))
    return found
