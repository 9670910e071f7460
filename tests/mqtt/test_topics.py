"""Topics are built and taken apart alike, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from terrible.mqtt.topics import Kind, Topics

TOPICS = Topics("rack-1")


@pytest.mark.parametrize(
    ("kind", "names", "topic"),
    [
        (Kind.STATUS, (), "status"),
        (Kind.INFO, (), "info"),
        (Kind.SUMMARY, (), "summary"),
        (Kind.STATE, ("node1",), "node/node1/state"),
        (Kind.UP, ("node1",), "node/node1/status"),
        (Kind.BOOT, ("p1-1-2",), "node/p1-1-2/boot"),
        (Kind.EVENT, ("node1",), "node/node1/event"),
        (Kind.PROGRESS, ("node1",), "node/node1/progress"),
        (Kind.POWER_SET, ("node1",), "node/node1/power/set"),
        (Kind.PORT, ("1-1.4", "2"), "hub/1-1.4/port/2"),
        (Kind.REQUEST, ("boot",), "request/boot"),
        (Kind.RESPONSE, ("boot",), "response/boot"),
    ],
)
def test_contract(kind: Kind, names: tuple[str, ...], topic: str) -> None:
    assert TOPICS.of(kind, *names) == f"terrible/rack-1/{topic}"
    assert TOPICS.parse(f"terrible/rack-1/{topic}") == (kind, names)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "terrible/rack-1",
        "terrible/rack-1/",
        "terrible/rack-12/status",
        "terrible/other/node/node1/power/set",
        "terrible/rack-1/node//power/set",
        "terrible/rack-1/node/a b/power/set",
        "terrible/rack-1/node/+/power/set",
        "terrible/rack-1/node/NODE1/power/set",
        "terrible/rack-1/node/node1/power/set/",
        "terrible/rack-1/node/node1/power/set\n",
        "terrible/rack-1/request/boot\x00",
        f"terrible/rack-1/request/{'a' * 65}",
    ],
)
def test_strangers(topic: str) -> None:
    assert TOPICS.parse(topic) is None


def test_every_is_a_filter() -> None:
    assert TOPICS.every(Kind.POWER_SET) == "terrible/rack-1/node/+/power/set"


def test_order_of_publishing() -> None:
    topics = ["summary", "node/b/status", "info", "node/a/state", "status", "node/a/boot"]
    ordered = sorted((f"{TOPICS.base}/{topic}" for topic in topics), key=TOPICS.place)
    assert [topic.removeprefix(f"{TOPICS.base}/") for topic in ordered] == [
        "status", "info", "node/a/state", "node/b/status", "node/a/boot", "summary",
    ]  # fmt: skip
