"""What a soak makes of messages: of its own cycle, of stale ones, and of nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from terrible.remote.heard import Boot, Response, Standing
from terrible.soak.verdict import Verdict, verdict
from terrible.soak.view import Journal, View

BASE = "terrible/rack"


def standing(phase: str, attempt: int, since: float = 1.0, **more: Any) -> Standing:
    return Standing(phase, more.pop("wish", "on"), since, more.pop("session", "s1"), attempt, **more)


def boot(attempt: int, outcome: str = "up", started: float = 5.0) -> Boot:
    return Boot(attempt, started, outcome)


def cycling() -> Journal:
    """A slot that has come up with its 4th attempt, and is asked to cycle."""
    journal = Journal()
    journal.add(standing("up", 4))
    journal.begin("mine")
    return journal


def view(*messages: tuple[str, Any]) -> View:
    made = View("rack")
    for topic, payload in messages:
        made.take(f"{BASE}/{topic}", payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return made


INFO = {"v": 1, "version": "9", "host": "h", "session": "s1", "slots": [{"name": "node1", "new": 1}], "x": []}
STATE = {"v": 2, "phase": "up", "wish": "on", "since": 1.0, "session": "s1", "attempt": 1, "new": {}}


def test_a_transcript_that_is_late_is_not_taken_for_one_of_this_cycle() -> None:
    journal = cycling()
    journal.add(boot(4))
    journal.add(boot(5))
    assert [heard.attempt for heard in journal.boots] == [5]


def test_what_is_retained_and_told_again_changes_nothing() -> None:
    journal = cycling()
    journal.add(standing("up", 5, 9.0))
    journal.add(boot(5))
    before = journal.length
    journal.add(standing("up", 5, 9.0))
    journal.add(boot(5))
    assert journal.length == before == 2


def test_answers_to_others_are_not_ours() -> None:
    journal = cycling()
    journal.add(Response("theirs", False, "error"))
    assert journal.answers == []
    journal.add(Response("mine", True, "accepted"))
    assert journal.length == 1


def test_a_node_that_is_still_up_has_not_come_up_again() -> None:
    journal = cycling()
    assert verdict(journal) is None
    journal.add(standing("lost", 4, 2.0))
    journal.add(standing("up", 4, 3.0))
    assert verdict(journal) is None, "it answers again, but was never cycled"
    journal.add(standing("up", 5, 4.0))
    assert verdict(journal) == Verdict("up")


def test_a_cycle_whose_dark_part_was_missed_is_still_one() -> None:
    journal = cycling()
    journal.add(standing("up", 7, 99.0))
    assert verdict(journal) == Verdict("up")


def test_between_attempts_nothing_is_decided() -> None:
    journal = cycling()
    journal.add(standing("failed", 5, 2.0))
    assert verdict(journal) is None


def test_an_agent_that_has_gone_leaves_no_standing_behind() -> None:
    made = view(("status", b"online"), ("info", INFO), ("node/node1/state", STATE))
    assert made.standing("node1") is not None
    made.take(f"{BASE}/status", b"offline")
    assert made.standing("node1") is None
    made.take(f"{BASE}/status", b"online")
    assert made.standing("node1") is None, "it has not said yet who it is"
    made.take(f"{BASE}/info", json.dumps({**INFO, "session": "s2"}).encode())
    assert made.standing("node1") is None, "that was said by the one before"


def test_fields_of_a_later_version_are_no_hindrance() -> None:
    made = view(("status", b"online"), ("info", INFO), ("node/node1/state", STATE))
    assert made.info is not None
    assert made.info.names == ["node1"]
    assert made.standing("node1") == standing("up", 1)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"null", b"[]", b"{", b'{"phase": 7}', b'"' + b"a" * 10_000, b"[" * 10_000]
)
@pytest.mark.parametrize(
    "topic",
    ["status", "info", "node/node1/state", "node/node1/boot", "response/power", "other", "node//state"],
)
def test_nonsense_changes_nothing_and_raises_nothing(topic: str, payload: bytes) -> None:
    made = view(("status", b"online"), ("info", INFO), ("node/node1/state", STATE))
    made.take(f"{BASE}/{topic}", payload)
    if topic != "status" and (topic, payload) != ("node/node1/state", b""):  # that one clears the topic
        assert made.standing("node1") == standing("up", 1)
