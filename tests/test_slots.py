"""Several slots in a few characters, and no harm from many."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible import slots

NAMES = ["node1", "node2", "node3", "node4", "gate", "p1-1-2"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("node1", ["node1"]),
        ("node1,node4", ["node1", "node4"]),
        ("node4,node1", ["node4", "node1"]),
        ("node[1-3]", ["node1", "node2", "node3"]),
        ("node[1,3-4],gate", ["node1", "node3", "node4", "gate"]),
        ("node[2-2]", ["node2"]),
        ("p[1]-1-2", ["p1-1-2"]),
        ("node1,node[1-2],node1", ["node1", "node2"]),
        ("all", NAMES),
        ("gate,all", ["gate", "node1", "node2", "node3", "node4", "p1-1-2"]),
    ],
)
def test_expand(pattern: str, expected: list[str]) -> None:
    assert slots.expand(pattern, NAMES) == expected


def test_the_width_of_numbers_is_kept() -> None:
    assert slots.expand("n[08-10]", ["n08", "n09", "n10"]) == ["n08", "n09", "n10"]


@pytest.mark.parametrize("pattern", ["node5", "node[3-5]", "nod", "al", "node01"])
def test_unknown_slots(pattern: str) -> None:
    with pytest.raises(slots.UnknownSlot, match="there is no slot"):
        slots.expand(pattern, NAMES)


@pytest.mark.parametrize(
    "pattern",
    [
        "", ",", "node1,", ",node1", "node[", "node[]", "node[1-]", "node[-1]", "node[3-1]", "node[1-2-3]",
        "node[a-b]", "node[1-3", "node1-3]", "Node1", "node 1", "node*", "a[1]b[2]", "node1\n", "../node1",
        "node[1-99999]", "node[0-9999]", ",".join(["node[1-999]"] * 3), "n" * 2000,
    ],
)  # fmt: skip
def test_written_wrong(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        slots.check(pattern)
    with pytest.raises(ValueError, match=r".+"):
        slots.expand(pattern, NAMES)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="node1234[]-,al")))
def test_any_text_is_expanded_or_refused(pattern: str) -> None:
    try:
        names = slots.expand(pattern, NAMES)
    except (ValueError, slots.UnknownSlot):
        return
    assert names
    assert set(names) <= set(NAMES)
    assert len(set(names)) == len(names)
