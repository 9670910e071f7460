"""Whoever may publish below `terrible` may publish nonsense: it neither counts nor ends a scrape."""

from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from terrible.exporter import tree as trees
from terrible.exporter.families import families
from terrible.exporter.tree import Tree
from terrible.model import Info
from tests.mqtt.examples import INFO, SLOTS

from .telling import CLUSTER, attempt, of, series, started

KINDS = ["status", "info", "node/node1/state", "node/node1/boot", "node/node1/event", "other", "node//state"]
BOOT = '{"attempt": 9, "started": 9, "seconds": %s, "outcome": "up", "stages": [], "files": [%s]}'
NONSENSE = [
    *(b"\xff", b"null", b"[]", b"{", b'{"phase": 7}', b"[" * 10_000, b'"' + b"a" * 10_000),
    *((BOOT % (number, "")).encode() for number in ("NaN", "-1", "1e999", '"\\ud800"')),
    (BOOT % (1, ""))
    .replace("[]", '[{"stage": "rom", "seconds": 1e308}]', 1)
    .encode(),  # two add up to infinity
    *((BOOT % (1, f'{{"size": {size}, "layer": "base"}}')).encode() for size in ("-5", "1" * 400)),
    b'{"version": "\\ud800", "host": "", "session": "s1", "started": 1, "slots": []}',
    b'{"event_type": "up", "data": []}',
]


@pytest.mark.parametrize("payload", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_changes_nothing(kind: str, payload: bytes) -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    before = series(tree)
    tree.take(f"terrible/{CLUSTER}/{kind}", payload)
    assert series(tree) == before
    scraped(tree)


class Once(Collector):
    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def collect(self) -> list[Metric]:
        return list(families(self._tree, True))


def scraped(tree: Tree) -> bytes:
    registry = CollectorRegistry()
    registry.register(Once(tree))
    return generate_latest(registry)


def test_names_without_end_do_not_fill_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_CLUSTERS", 3)
    monkeypatch.setattr(trees, "MOST_NODES", 5)
    tree, _ = started()
    state = json.dumps({"phase": "up", "wish": "on", "session": "s1"}).encode()
    for number in range(10):
        tree.take(f"terrible/{CLUSTER}/node/n{number}/state", state)
        tree.take(f"terrible/c{number}/status", b"online")
    assert len(tree.clusters) == 3
    assert len(tree.clusters[CLUSTER].nodes) == 5


def test_what_is_no_name_is_no_cluster() -> None:
    tree, _ = started()
    for name in ("two\nlines", "\x1b[2J", "Rack", "a b", ""):
        tree.take(f"terrible/{name}/status", b"online")
    assert set(tree.clusters) == {CLUSTER}


def test_a_phase_of_a_later_agent_is_none_of_ours() -> None:
    tree, teller = started()
    state = {"v": 1, "phase": "dreaming", "wish": "on", "session": teller.session, "new": {}}
    tree.take(f"terrible/{CLUSTER}/node/node1/state", json.dumps(state).encode())
    assert sum(of(tree, "terrible_node_phase", CLUSTER, "node1")) == 0
    assert of(tree, "terrible_node_up", CLUSTER, "node1") == [0]


def test_info_of_the_same_agent_forgets_no_slot_that_it_does_not_name_yet() -> None:
    tree, teller = started()
    teller.tell(Info(INFO.version, CLUSTER, INFO.host, "", INFO.started, SLOTS[:1]))
    assert of(tree, "terrible_node_up") == [1] * 4
