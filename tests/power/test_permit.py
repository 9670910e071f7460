"""What is allowed with the slots of a configuration."""

from __future__ import annotations

from pathlib import Path

from terrible.model import Location
from terrible.power.permit import within

from .test_boards import SOCKETS_5, pi5
from .tree import Tree


def test_what_is_switched_with_a_slot_is_allowed_too(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.peers("1-2", "2-2")
    assert within(tmp_path, frozenset({Location("1-2")})) == {"1-2", "2-2"}
    assert within(tmp_path, frozenset({Location("1-1.1")})) == {"1-1.1"}


def test_of_a_pi_5_all_sockets(tmp_path: Path) -> None:
    pi5(tmp_path)
    assert within(tmp_path, frozenset({Location("1-1")})) == {*SOCKETS_5.split()}
    assert within(tmp_path, frozenset({Location("1-1.2")})) == {"1-1.2"}, "behind a hub of its own"
