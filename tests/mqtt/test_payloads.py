"""What is published, to the byte where people rely on it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from terrible.errors import Code, Problem
from terrible.model import Answer, Event, Phase, Request
from terrible.mqtt import payloads, shapes
from terrible.mqtt.payloads import Publication, publications
from terrible.mqtt.topics import Topics
from terrible.seams import News

from .examples import BASE, INFO, SESSION, SLOTS, progress, report, reports, transcript

TOPICS = Topics("rack-1")
NOW = 1_700_000_200.1239


def of(news: News) -> dict[str, Publication]:
    return {p.topic.removeprefix(f"{BASE}/"): p for p in publications(news, TOPICS, SESSION, NOW)}


def read(publication: Publication) -> Any:
    return json.loads(publication.payload)


def test_report() -> None:
    published = of(report(SLOTS[0]))
    assert list(published) == ["node/node1/state", "node/node1/status", "hub/1-1/port/1"]
    assert read(published["node/node1/state"]) == {
        "v": 1,
        "phase": "up",
        "problem": None,
        "wish": "on",
        "since": 1_700_000_100.0,
        "location": "1-1.1",
        "power": True,
        "addresses": ["10.42.0.11"],
        "attempt": 1,
        "session": "s1",
    }
    assert published["node/node1/status"].payload == b"online"
    port = read(published["hub/1-1/port/1"])
    assert port == {"v": 1, "location": "1-1.1", "slot": "node1", "power": True}
    assert all(p.retain and p.qos == 1 for p in published.values())


def test_report_of_a_failure() -> None:
    failed = replace(
        report(SLOTS[0], Phase.FAILED),
        problem=Problem(Code.MISSING_FILE, "no kernel"),
        wish=False,
        power=None,
    )
    published = of(failed)
    state = read(published["node/node1/state"])
    assert state["problem"] == {"code": "missing_file", "message": "no kernel"}
    assert (state["wish"], state["power"], state["phase"]) == ("off", None, "failed")
    assert published["node/node1/status"].payload == b"offline"


@pytest.mark.parametrize("phase", list(Phase))
def test_only_up_is_online(phase: Phase) -> None:
    payload = of(report(SLOTS[0], phase))["node/node1/status"].payload
    assert payload == (b"online" if phase is Phase.UP else b"offline")


def test_event_is_told_each() -> None:
    (published,) = of(Event(SLOTS[1], "recovered", "back after a cycle", {"attempt": 2})).values()
    assert published.topic == f"{BASE}/node/node2/event"
    assert (published.qos, published.retain, published.queued) == (1, False, True)
    assert read(published) == {
        "v": 1,
        "event_type": "recovered",
        "ts": 1_700_000_200.124,
        "message": "back after a cycle",
        "data": {"attempt": 2},
    }


def test_event_with_something_that_is_no_json() -> None:
    (published,) = of(Event(SLOTS[1], "odd", "", {"where": {1, 2}})).values()
    assert read(published)["data"] == {"where": "{1, 2}"}


def test_progress_may_be_lost() -> None:
    (published,) = of(progress(4096)).values()
    assert (published.qos, published.retain, published.queued) == (0, False, False)
    assert read(published) == {
        "v": 1, "phase": "loading", "sent": 4096, "file": "kernel.img",
        "total": None, "rate": None, "left": None,
    }  # fmt: skip


def test_info_and_transcript_are_the_model_with_a_version() -> None:
    info = read(of(INFO)["info"])
    assert (info["v"], info["session"], info["power"]) == (1, "s1", {"1-1.1": "sysfs"})
    assert info["slots"][3]["name"] == "node4"
    boot = of(transcript("node2"))["node/node2/boot"]
    assert boot.retain
    assert read(boot)["v"] == 1
    assert read(boot)["diagnosis"] == "up in 9.1 s"


def test_summary() -> None:
    latest = [
        *reports(Phase.UP)[:2],
        report(SLOTS[2], Phase.LOADING, 1_700_000_150.0),
        *reports(Phase.FAILED)[3:],
    ]
    published = payloads.summary(5, latest, TOPICS)
    assert read(published) == {
        "v": 1,
        "total": 5,
        "up": 2,
        "booting": 1,
        "failed": 1,
        "updated": 1_700_000_150.0,
        "undervoltage": False,
    }
    assert read(payloads.summary(0, [], TOPICS))["updated"] == 0


def test_the_summary_tells_of_a_supply_that_is_too_weak() -> None:
    weak = replace(report(SLOTS[0], Phase.OFF), problem=Problem(Code.UNDERVOLTAGE, "the supply is at 4.5 V"))
    other = replace(weak, problem=Problem(Code.BOOT_FAILED, "it failed"))
    assert read(payloads.summary(2, [weak, report(SLOTS[1])], TOPICS))["undervoltage"] is True
    assert read(payloads.summary(2, [other, report(SLOTS[1])], TOPICS))["undervoltage"] is False


def test_responses() -> None:
    request = Request("boot", "node1", id="r1")
    done = payloads.response(request, Answer("done", {"seconds": 9.1}), TOPICS)
    assert (done.topic, done.qos, done.retain) == (f"{BASE}/response/boot", 1, False)
    assert read(done) == {
        "v": 1, "id": "r1", "ok": True, "status": "done", "data": {"seconds": 9.1}, "error": None,
    }  # fmt: skip
    failed = read(payloads.response(request, Answer("error", code="busy", message="later"), TOPICS))
    assert (failed["ok"], failed["error"]) == (False, {"code": "busy", "message": "later"})


@pytest.mark.parametrize(
    "shape", [shapes.State, shapes.Summary, shapes.Happening, shapes.Advance, shapes.Response]
)
def test_pydantic_makes_a_schema_of_each_shape(shape: type) -> None:
    schema = TypeAdapter(shape).json_schema()
    assert schema["properties"]["v"]["const"] == 1


def test_state_satisfies_its_schema() -> None:
    payload = of(report(SLOTS[0]))["node/node1/state"].payload
    assert TypeAdapter(shapes.State).validate_json(payload).phase is Phase.UP
