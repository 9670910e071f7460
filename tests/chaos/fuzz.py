"""How often everything that strangers can send is tried: one place for the long counts.

CI takes EXAMPLES of each; LONG=1 a million in all, shared out as COUNTS says. Where another test promises
something of any input already, it is that one which runs here, with more examples.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 200
COUNTS = {
    "request": 200_000,
    "session": 100_000,
    "stage": 100_000,
    "describe": 100_000,
    "hub descriptor": 150_000,
    "port status": 100_000,
    "config file": 50_000,
    "command": 50_000,
    "refusal": 50_000,
    "partition table": 50_000,
    "fat": 50_000,
}
"""A million together; the codecs that take longest get fewest."""


def fuzz(
    name: str, *strategies: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run it as often as its share says, and do not stop a slow machine."""
    count = COUNTS[name] if os.environ.get("LONG") == "1" else EXAMPLES
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
    how = settings(max_examples=count, deadline=None, database=None, suppress_health_check=slow)
    return lambda test: how(given(*strategies)(test))


def property_of(test: Any) -> Callable[..., None]:
    """What another file promises of any input."""
    inner: Callable[..., None] = test.hypothesis.inner_test
    return inner
