"""What a soak has shown: rates, durations, diagnoses, from its cycles alone. [pure]"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from terrible.soak.record import STAGES, Cycle
from terrible.soak.statistics import quantile, rule_of_three, wilson


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many, with the Wilson interval at 95 %. `failures_below` where none failed."""

    successes: int
    trials: int
    low: float
    high: float
    failures_below: float | None

    @property
    def share(self) -> float:
        """The rate itself; 0 where nothing was tried."""
        return self.successes / self.trials if self.trials else 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """A duration over all cycles that came up, in seconds."""

    median: float
    p95: float
    count: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Cycles of one slot, or of all: how many came up, at once or at all, and how long they took."""

    up: Rate
    first_try: Rate
    interrupted: int
    attempts: dict[int, int]
    cycle: Spread
    stages: dict[str, Spread]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A reason, how many attempts failed of it, and how many whole cycles."""

    text: str
    attempts: int
    cycles: int


def finding(cycles: Iterable[Cycle]) -> Finding:
    """What these cycles have shown."""
    cycles = list(cycles)
    counted = [cycle for cycle in cycles if cycle.counts]
    up = [cycle for cycle in counted if cycle.outcome == "up"]
    return Finding(
        up=rate(len(up), len(counted)),
        first_try=rate(sum(cycle.first_try for cycle in counted), len(counted)),
        interrupted=len(cycles) - len(counted),
        attempts=dict(sorted(Counter(cycle.attempts for cycle in up).items())),
        cycle=_spread([cycle.seconds for cycle in up]),
        stages={
            stage: _spread([c.stages[stage] for c in up if stage in c.stages])
            for stage in STAGES
            if any(stage in c.stages for c in up)
        },
    )


def by_slot(cycles: Sequence[Cycle], names: Sequence[str]) -> dict[str, Finding]:
    """The same for each slot."""
    return {name: finding(cycle for cycle in cycles if cycle.slot == name) for name in names}


def diagnoses(cycles: Iterable[Cycle]) -> list[Diagnosis]:
    """Why attempts and cycles failed, the most frequent first."""
    attempts: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for cycle in cycles:
        attempts.update(failure.diagnosis for failure in cycle.failures if cycle.counts)
        whole.update([cycle.diagnosis] if cycle.outcome == "failed" else [])
    texts = sorted(attempts | whole, key=lambda text: (-attempts[text], -whole[text], text))
    return [Diagnosis(text, attempts[text], whole[text]) for text in texts]


def firmware(cycles: Iterable[Cycle]) -> dict[tuple[str, str], int]:
    """Which contents (name, sha256) were served in how many cycles."""
    found = Counter(item for cycle in cycles if cycle.counts for item in cycle.firmware.items())
    return dict(sorted(found.items()))


def rate(successes: int, trials: int) -> Rate:
    """So many of so many."""
    low, high = wilson(successes, trials)
    clean = trials > 0 and successes == trials
    return Rate(successes, trials, low, high, rule_of_three(trials) if clean else None)


def _spread(seconds: Sequence[float]) -> Spread:
    return Spread(quantile(seconds, 0.5), quantile(seconds, 0.95), len(seconds))
