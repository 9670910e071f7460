"""How long the stages of boots took, in buckets. [pure]"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from terrible.exporter.heard import Boot

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds: a ROM takes a second or two, files some ten, a kernel up to the limit of 180."""
STAGES = ("rom", "loader", "starting", "gadget")


@dataclass(slots=True)
class Durations:
    """How many lasted up to each of BUCKETS and no shorter, the last of all longer; and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


def passed(boot: Boot) -> dict[str, float]:
    """The stages that a boot has left behind it, and how long each took; none of one taken over midway.

    A stage in which an attempt has ended was not passed: its seconds are those of a limit. What follows the
    gadget is the way from it to `up`.
    """
    took: dict[str, float] = {}
    for entry in boot.stages:
        name = "gadget" if entry.stage == "starting" and "gadget" in took else entry.stage
        took[name] = took.pop(name, 0.0) + entry.seconds
    if boot.outcome not in ("up", "disk") and took:
        took.popitem()
    return {stage: took[stage] for stage in STAGES if stage in took} if "rom" in took else {}
