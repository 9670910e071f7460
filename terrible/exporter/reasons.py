"""Diagnoses as values of a label: few enough for a time series each.

A diagnosis is a sentence for people and names files, ports and seconds. What is left without those is
one of the agent's two dozen sentences; a limit holds for whatever else is said one day.
"""

from __future__ import annotations

import re
from collections import Counter

MOST = 30
"""Reasons told apart in a cluster."""
OTHER = "other"
LONGEST = 80
"""Characters of a reason."""

_DETAILS = re.compile(r";.*|\s*\(.*", re.DOTALL)
"""What follows the first clause: which files were asked for, and where they were looked for."""
_PARTICULAR = re.compile(r"[^\s,:]*(?:[0-9/]|\w\.\w)[^\s,:]*")
"""A word with a digit, a slash, or a dot inside: a number, a location, a path, a file."""


def fold(diagnosis: str) -> str:
    """`no gadget 180 s after kernel.img; asked for …` is `no gadget * s after *`."""
    words = _PARTICULAR.sub("*", _DETAILS.sub("", diagnosis)).split()
    return " ".join(words)[:LONGEST] or "none given"


def count(reasons: Counter[str], diagnosis: str) -> None:
    """Count it among the reasons so far, or as `other` where there are too many."""
    reason = fold(diagnosis)
    reasons[reason if reason in reasons or len(reasons) < MOST else OTHER] += 1
