"""Five locks against made heads of all kinds; and that none of the five could be left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from terrible.model import Location
from terrible.peers import Refused
from terrible.storage import locks, opening
from terrible.storage.locks import Lock
from terrible.storage.opening import look, open_card
from terrible.storage.reading import Machine

from .conftest import NO_LOOP, Loop, needs_loop, number
from .head import SLOT, Head
from .trees import Tree
from .trees_in_use import TREES

HERE = Location(SLOT)
ALLOWED = [tree for tree in TREES if not tree.why]
REFUSED = [tree for tree in TREES if tree.why]


def named(trees: list[Tree]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("tree", trees, ids=[tree.name for tree in trees])


def test_there_are_enough_trees() -> None:
    assert len(TREES) >= 30


@named(ALLOWED)
def test_a_card_is_seen(head: Head, tree: Tree) -> None:
    tree.build(head)
    assert look(Machine(head.root), HERE).name == "sda"


@needs_loop
@named(ALLOWED)
def test_a_card_is_opened(real_head: Head, loop: Loop, tree: Tree) -> None:
    tree.build(real_head)
    loop.resize(real_head.size("sda"))
    descriptor, disk = open_card(Machine(real_head.root), HERE)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        assert number(Path(f"/proc/self/fd/{file.fileno()}")) == real_head.card == disk.device


@named(REFUSED)
def test_another_disk_is_refused(head: Head, tree: Tree) -> None:
    tree.build(head)
    with pytest.raises(Refused) as refusal:
        look(Machine(head.root), HERE)
    assert tree.why in str(refusal.value)
    assert str(refusal.value).isprintable()


@needs_loop
@named(REFUSED)
def test_another_disk_is_not_opened(real_head: Head, tree: Tree) -> None:
    """Nor for a moment: the open that would set its medium going does not happen."""
    tree.build(real_head)
    (real_head.root / "dev/sda").unlink(missing_ok=True)
    os.mkfifo(real_head.root / "dev/sda")
    with pytest.raises(Refused) as refusal:
        open_card(Machine(real_head.root), HERE)
    assert tree.why in str(refusal.value)


@pytest.mark.parametrize("removed", locks.LOCKS, ids=lambda lock: lock.__name__)
def test_without_any_one_lock_a_wrong_disk_is_opened(
    removed: Lock, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be opened, a look that finds nothing wrong stands for it."""
    monkeypatch.setattr(locks, "LOCKS", tuple(lock for lock in locks.LOCKS if lock is not removed))
    loop = None if NO_LOOP else request.getfixturevalue("loop")
    opened = [tree.name for tree in REFUSED if _opened(tmp_path / tree.name, tree, loop)]
    assert opened, f"no tree needs {removed.__name__}"


def _opened(root: Path, tree: Tree, loop: Loop | None) -> bool:
    head = Head(root, loop.number if loop else "8:0")
    tree.build(head)
    try:
        if loop is None:
            look(Machine(root), HERE)
        else:
            loop.resize(head.size("sda"))
            os.close(open_card(Machine(root), HERE)[0])
    except Refused:
        return False
    return True


@needs_loop
def test_a_disk_that_somebody_has_is_not_opened(
    real_head: Head, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lock 5, first half; without it the disk is opened."""
    real_head.pi()
    machine = Machine(real_head.root)
    holder = os.open(loop.node, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(Refused, match="lock 5: somebody else has sda"):
            open_card(machine, HERE)
        monkeypatch.setattr(opening, "EXCLUSIVE", 0)
        os.close(open_card(machine, HERE)[0])
    finally:
        os.close(holder)


@needs_loop
def test_nobody_else_can_have_a_card_that_is_open(real_head: Head, loop: Loop) -> None:
    real_head.pi()
    descriptor, _ = open_card(Machine(real_head.root), HERE)
    with pytest.raises(OSError, match="busy"):
        os.open(loop.node, os.O_RDWR | os.O_EXCL)
    os.close(descriptor)
    os.close(os.open(loop.node, os.O_RDWR | os.O_EXCL))
