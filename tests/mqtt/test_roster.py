"""Which slots are gone, and the summary of those that are not."""

from __future__ import annotations

import json
from dataclasses import replace

from terrible.model import Phase
from terrible.mqtt.roster import Roster
from terrible.mqtt.topics import Topics

from .examples import BASE, INFO, SLOTS, extra, report


def topic(name: str, leaf: str = "state") -> str:
    return f"{BASE}/node/{name}/{leaf}"


def test_nothing_is_gone_before_the_slots_are_listed() -> None:
    roster = Roster(Topics("rack-1"))
    roster.learn(report(SLOTS[0]))
    assert roster.gone([topic("node9")]) == []
    roster.learn(INFO)
    assert roster.gone([topic("node9"), topic("node1"), topic("node4", "boot")]) == [topic("node9")]


def test_only_topics_of_slots_can_be_gone() -> None:
    roster = Roster(Topics("rack-1"))
    roster.learn(INFO)
    topics = [topic("old", leaf) for leaf in ("state", "status", "boot", "event", "power/set")]
    assert roster.gone([f"{BASE}/status", "elsewhere/node/old/state", *topics]) == topics[:3]


def test_a_report_adds_a_slot_and_a_new_list_removes_it() -> None:
    roster = Roster(Topics("rack-1"))
    roster.learn(INFO)
    roster.learn(report(extra("p1-1-9")))
    total = json.loads(roster.summary().payload)
    assert (total["total"], total["up"]) == (5, 1)
    assert roster.gone([topic("p1-1-9")]) == []
    roster.learn(replace(INFO, slots=SLOTS[:2]))
    less = json.loads(roster.summary().payload)
    assert (less["total"], less["up"]) == (2, 0)
    assert roster.gone([topic("p1-1-9"), topic("node3")]) == [topic("p1-1-9"), topic("node3")]
    assert roster.slot("node1") == SLOTS[0]
    assert roster.slot("node3") is None


def test_the_summary_counts_the_latest_report_of_each() -> None:
    roster = Roster(Topics("rack-1"))
    roster.learn(report(SLOTS[0], Phase.LOADING))
    roster.learn(report(SLOTS[0], Phase.UP))
    summary = json.loads(roster.summary().payload)
    assert (summary["total"], summary["up"], summary["booting"]) == (1, 1, 0)
