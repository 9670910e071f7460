"""What was told already, told again to whoever asks for it."""

from __future__ import annotations

import json
from dataclasses import replace

from terrible.model import FileRecord, Info, Location, Request, Slot
from terrible.mqtt import payloads
from terrible.mqtt.answers import LARGEST, answer
from terrible.mqtt.roster import Roster
from terrible.mqtt.topics import Topics

from .examples import CLUSTER, INFO, SESSION, report, transcript

TOPICS = Topics(CLUSTER)
SHIPPED = 256 * 1024
"""The message_size_limit of docs/mosquitto/terrible.conf."""


def full(slots: int) -> Roster:
    """A hub of that many slots, each with the transcript of an ordinary boot."""
    names = [f"node{number}" for number in range(1, slots + 1)]
    info: Info = replace(INFO, slots=tuple(Slot(n, 1, Location("1-1.1"), "", "", "") for n in names))
    roster = Roster(TOPICS)
    roster.learn(info)
    for slot in info.slots:
        roster.learn(report(slot))
        told = transcript(slot.name)
        told.files += [FileRecord(f"{n}-file", 1000, "0" * 64, None, 0.1, ("boot",)) for n in range(40)]
        roster.learn(told)
    return roster


def size(roster: Roster, request: Request) -> tuple[str, int]:
    """How it ends, and the bytes of the answer."""
    said = answer(request, roster, SESSION, {})
    return said.code, len(payloads.response(request, said, TOPICS).payload)


def test_no_answer_is_larger_than_what_brokers_and_readers_take() -> None:
    roster = full(120)
    for verb in ("status", "transcript"):
        for pattern in ("all", "node[1-30]", "node1"):
            code, took = size(roster, Request(verb, pattern, id="1"))
            assert took < SHIPPED, (verb, pattern)
            assert code == ("bad_request" if (verb, pattern) == ("transcript", "all") else "")


def test_it_says_what_to_do_about_too_many() -> None:
    said = answer(Request("transcript", "all", id="1"), full(120), SESSION, {})
    assert said.message == f"what was told of all these is more than {LARGEST} bytes; ask for fewer slots"


def test_what_is_told_is_what_was_published() -> None:
    roster = full(2)
    said = answer(Request("transcript", "all", id="1"), roster, SESSION, {})
    (published,) = payloads.publications(roster.transcripts["node2"], TOPICS, SESSION, 0.0)
    assert said.data["transcripts"]["node2"] == json.loads(published.payload)
