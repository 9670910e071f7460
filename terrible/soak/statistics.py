"""What can be said of a rate and of durations that were measured so often. [pure]"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.959963984540054
"""Standard normal quantile for a two-sided interval of 95 %."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The Wilson score interval of a rate at 95 %, as two fractions; (0, 1) where nothing was tried.

    Unlike the normal approximation it holds near 0 and 1, where a soak should end up
    (E. B. Wilson, JASA 22 (1927) 209; Brown, Cai, DasGupta, Statist. Sci. 16 (2001) 101).
    """
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z * Z
    middle = rate + z2 / (2 * trials)
    half = Z * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    low = 0.0 if successes == 0 else (middle - half) / scale  # exactly 0 but for rounding
    high = 1.0 if successes == trials else (middle + half) / scale
    return low, high


def rule_of_three(trials: int) -> float:
    """The failure rate that `trials` without a failure rule out at 95 %: 1 - 0.05^(1/n), about 3/n."""
    return min(1.0, 3 / trials) if trials else 1.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie, interpolated; NaN where there are none.

    Hyndman and Fan's type 7, as numpy, R and `statistics.quantiles(method="inclusive")` have it.
    """
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
