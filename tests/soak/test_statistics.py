"""Intervals and quantiles, against numbers published elsewhere and against what they promise."""

from __future__ import annotations

import math
import statistics as library

import pytest
from hypothesis import given
from hypothesis import strategies as some

from terrible.soak.statistics import quantile, rule_of_three, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Newcombe, Statist. Med. 17 (1998) 857, and R's prop.test(correct=FALSE)
        (81, 263, 0.2553, 0.3662),  # Newcombe's table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_is_what_the_literature_says(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(some.integers(1, 5000).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n))))
def test_wilson_holds_the_rate_and_mirrors_the_failures(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = wilson(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert low < high
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_nothing_tried_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert rule_of_three(0) == 1.0
    assert math.isnan(quantile([], 0.5))


@pytest.mark.parametrize("trials", [100, 500, 2000])
def test_the_rule_of_three_is_the_exact_bound_but_for_a_hair(trials: int) -> None:
    exact = 1 - 0.05 ** (1 / trials)
    assert exact < rule_of_three(trials) < exact * 1.02


def test_2000_cycles_without_a_failure_show_0_15_percent() -> None:
    assert rule_of_three(2000) == pytest.approx(0.0015)


@given(some.lists(some.floats(0, 1e6), min_size=2, max_size=60))
def test_quantiles_are_those_of_the_standard_library(values: list[float]) -> None:
    cuts = library.quantiles(values, n=20, method="inclusive")
    assert quantile(values, 0.95) == pytest.approx(cuts[18], rel=1e-9, abs=1e-9)
    assert quantile(values, 0.5) == pytest.approx(library.median(values), rel=1e-9, abs=1e-9)
    assert quantile(values, 0.0) == min(values)
    assert quantile(values, 1.0) == max(values)
