"""Who is set aside, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrible.storage.writing.pace import WINDOW, Pace, Rate, too_slow


def _cards(*told: tuple[int, int]) -> dict[str, Pace]:
    """Each card's rate, and how much waits for it."""
    return {f"node{number}": Pace(rate, 1.0, waiting) for number, (rate, waiting) in enumerate(told, 1)}


@pytest.mark.parametrize(
    ("cards", "aside"),
    [
        (_cards((10, 0), (10, 0), (4, 40)), {"node3"}),
        (_cards((10, 1), (10, 0), (4, 40)), {"node3"}),  # it has just got one
        (_cards((10, 0), (10, 0), (5, 40)), set()),  # half as fast is waited for
        (_cards((10, 0), (3, 30), (4, 40)), {"node2", "node3"}),
        (_cards((10, 30), (10, 0), (4, 40)), set()),  # somebody fast is behind as well
        (_cards((10, 40), (10, 40), (10, 40)), set()),
        (_cards((1, 40)), set()),
        (_cards((0, 40), (10, 0)), {"node1"}),  # it hangs
        (_cards((0, 40), (0, 0)), set()),
        ({}, set()),
    ],
)
def test_who_is_set_aside(cards: dict[str, Pace], aside: set[str]) -> None:
    assert too_slow(cards) == aside


@given(
    st.dictionaries(
        st.text(max_size=3), st.builds(Pace, st.integers(0, 99), st.floats(0, 9), st.integers(0, 50))
    )
)
def test_the_fastest_is_never_set_aside(cards: dict[str, Pace]) -> None:
    fastest = max((card.rate for card in cards.values()), default=0)
    assert all(cards[name].rate < fastest for name in too_slow(cards))


def test_a_rate_forgets_what_was_before_its_window() -> None:
    rate = Rate(0, 0)
    assert rate.at(0, 0) == 0
    assert [rate.at(float(second), second * 100) for second in range(1, 20)] == [100.0] * 19
    assert [rate.at(20.0 + second, 1900) for second in range(int(WINDOW) + 2)][-1] == 0
