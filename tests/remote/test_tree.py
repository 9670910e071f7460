"""What a client knows of a cluster, from messages alone: whose word counts, and what is forgotten."""

from __future__ import annotations

import json
from dataclasses import replace

from terrible.model import Phase, Progress
from terrible.mqtt import payloads
from terrible.mqtt.topics import Topics
from terrible.remote.tree import Tree
from terrible.seams import News
from tests.mqtt.examples import CLUSTER, INFO, SESSION, SLOTS, report, reports

TOPICS = Topics(CLUSTER)


def told(*news: News, session: str = SESSION) -> Tree:
    """A tree that has heard this from an agent that is online."""
    tree = Tree(CLUSTER)
    tree.take(TOPICS.base + "/status", b"online")
    tell(tree, *news, session=session)
    return tree


def tell(tree: Tree, *news: News, session: str = SESSION) -> None:
    for one in news:
        for publication in payloads.publications(one, TOPICS, session, 0.0):
            tree.take(publication.topic, publication.payload)


def test_it_is_complete_once_every_slot_that_the_agent_lists_has_been_told_of() -> None:
    tree = told(INFO, *reports()[:-1])
    assert not tree.complete
    tell(tree, reports()[-1])
    assert tree.complete
    assert tree.names == [slot.name for slot in SLOTS]


def test_what_an_earlier_agent_left_behind_is_kept_but_counts_for_nothing() -> None:
    tree = told(INFO, *reports())
    tell(tree, replace(INFO, session="s2"))
    assert tree.standing("node1") is None
    assert tree.standings["node1"].phase == "up"
    assert (tree.told, tree.complete) == (True, False)


def test_an_agent_that_goes_leaves_nothing_that_counts() -> None:
    tree = told(INFO, *reports())
    tree.take(f"{TOPICS.base}/status", b"offline")
    assert (tree.said, tree.online, tree.standing("node1")) == (False, False, None)


def test_without_a_broker_nobody_knows_whether_there_is_an_agent() -> None:
    tree = told(INFO, *reports())
    tree.cut_off()
    assert (tree.said, tree.online) == (None, False)


def test_a_topic_that_is_cleared_takes_the_slot_along() -> None:
    tree = told(INFO, *reports())
    tree.take(f"{TOPICS.base}/node/node1/state", b"")
    assert "node1" not in tree.standings
    assert not tree.complete


def test_the_progress_of_a_boot_ends_with_it() -> None:
    tree = told(INFO, report(SLOTS[0], Phase.LOADING), Progress(SLOTS[0], Phase.LOADING, 7, "start.elf"))
    assert tree.advances["node1"].sent == 7
    tell(tree, report(SLOTS[0], Phase.UP))
    assert tree.advances == {}


def test_what_strangers_say_cannot_move_a_cursor_or_break_a_clock() -> None:
    tree = told(INFO)
    topic = f"{TOPICS.base}/node/node1/state"
    state = {"phase": "up\x1b[2J", "wish": "on", "since": 1, "session": SESSION, "attempt": 1}
    tree.take(topic, json.dumps(state).encode())
    assert tree.standings["node1"].phase == "up\ufffd[2J"
    for since in (1e300, -1, float("nan"), float("inf")):
        assert tree.take(topic, json.dumps({**state, "since": since}).encode())[1] is None


def test_other_clusters_are_none_of_its_business() -> None:
    tree = told(INFO)
    state = json.dumps({"phase": "up", "wish": "on", "since": 1, "session": SESSION, "attempt": 1}).encode()
    assert tree.take("terrible/other/node/node1/state", state) == ("", None)
    assert tree.standings == {}
