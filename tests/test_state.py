"""What is remembered between two starts, and that forgetting it stops nothing."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from pathlib import Path

import pytest

from terrible.state import State

from .conftest import fill


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.json"


def litter(path: Path) -> list[str]:
    """What lies beside the file."""
    return [other.name for other in path.parent.iterdir() if other != path]


def test_slots_nobody_spoke_of_are_wished_on(path: Path) -> None:
    state = State(path)
    assert state.wish("node1")
    assert not path.exists(), "nothing to remember"


def test_wishes_survive(path: Path) -> None:
    state = State(path)
    state.wish_all(["node1", "node2", "node3"], on=False)
    state.wish_all(["node2"], on=True)
    assert [state.wish(f"node{n}") for n in (1, 2, 3, 4)] == [False, True, False, True]
    again = State(path)
    assert [again.wish(f"node{n}") for n in (1, 2, 3, 4)] == [False, True, False, True]
    assert json.loads(path.read_text()) == {"v": 1, "off": ["node1", "node3"]}
    assert litter(path) == []


def test_it_is_written_only_on_change(path: Path) -> None:
    state = State(path)
    state.wish_all(["node1"], on=False)
    path.write_text("not touched")
    state.wish_all(["node1"], on=False)
    state.wish_all(["node2"], on=True)
    assert path.read_text() == "not touched"
    state.wish_all(["node1"], on=True)
    assert json.loads(path.read_text())["off"] == []


def test_whoever_has_the_old_file_open_reads_it_whole(path: Path) -> None:
    state = State(path)
    state.wish_all(["node1"], on=False)
    with path.open() as reader:
        state.wish_all(["node2"], on=False)
        assert json.load(reader)["off"] == ["node1"]


def test_without_a_file_wishes_last_as_long_as_the_process() -> None:
    state = State(None)
    state.wish_all(["node1"], on=False)
    assert not state.wish("node1")
    assert State(None).wish("node1")


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b'{"v": 1, "off": ["node1"',
        b"[]",
        b"null",
        b"5",
        b'{"v": 1}',
        b'{"v": 1, "off": 5}',
        b'{"v": 1, "off": null}',
        b"\xff\xfe",
        bytes(4096),
    ],
)
def test_a_damaged_file_is_set_aside_and_said(
    path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        state = State(path)
    assert state.wish("node1")
    assert (path.parent / "state.damaged").read_bytes() == damage
    (said,) = caplog.messages
    assert str(path) in said
    assert "kept as state.damaged" in said
    state.wish_all(["node1"], on=False)
    assert not State(path).wish("node1")


def test_what_is_no_name_is_passed_over(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"v": 1, "off": ["node1", 5, null, ["node2"]], "more": true}')
    state = State(path)
    assert (state.wish("node1"), state.wish("node2")) == (False, True)


def test_a_name_instead_of_a_list_is_damage(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"v": 1, "off": "node1"}')
    State(path)
    assert (path.parent / "state.damaged").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_what_root_writes_is_the_agents_who_owns_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    State(tmp_path / "state.json").set_latch("node1", "dirty_card")
    found = (tmp_path / "state.json").stat()
    assert (found.st_uid, found.st_gid) == (65534, 65534)


def test_a_link_that_lies_where_it_writes_leads_it_nowhere(tmp_path: Path) -> None:
    """Root writes in a directory of the agent's user, who could name any file."""
    (tmp_path / "shadow").write_text("root")
    (tmp_path / "state.draft").symlink_to("shadow")
    State(tmp_path / "state.json").set_latch("node1", "dirty_card")
    assert (tmp_path / "shadow").read_text() == "root"
    assert State(tmp_path / "state.json").latch("node1") == "dirty_card"


# -- disks that fail ------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_stops_nothing(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = small_disk / "state.json"
    state = State(path)
    state.wish_all(["node1"], on=False)
    fill(small_disk)
    with caplog.at_level(logging.WARNING):
        state.wish_all(["node2"], on=False)
    assert caplog.messages == [f"cannot remember wishes in {path}: No space left on device"]
    assert not state.wish("node2")
    assert json.loads(path.read_text())["off"] == ["node1"], "the old file is whole"
    (small_disk / "ballast").unlink()
    state.wish_all(["node3"], on=False)
    assert json.loads(path.read_text())["off"] == ["node1", "node2", "node3"]


def test_a_full_disk_is_not_littered(small_disk: Path) -> None:
    path = small_disk / "state.json"
    state = State(path)
    fill(small_disk)
    state.wish_all(["node1"], on=False)
    assert litter(path) == ["ballast"]


def test_a_place_that_cannot_be_written_to_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = State(tmp_path / "file" / "state.json")
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        state.wish_all(["node1"], on=False)
    assert caplog.messages == [f"cannot remember wishes in {tmp_path}/file/state.json: File exists"]
    assert not state.wish("node1")


def test_a_damaged_file_on_a_read_only_disk_stops_nothing(small_disk: Path) -> None:
    path = small_disk / "state.json"
    path.write_text("{")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert State(path).wish("node1")


# -- latches and verdicts -------------------------------------------------------------------------------


def test_latches_and_verdicts_survive(path: Path) -> None:
    state = State(path)
    state.set_latch("node2", "overcurrent")
    state.set_verdict("1-1.2", {"cuts": False, "gone": None})
    again = State(path)
    assert (again.latch("node1"), again.latch("node2")) == (None, "overcurrent")
    assert again.verdict("1-1.2") == {"cuts": False, "gone": None}
    assert again.verdict("1-1.1") is None
    again.set_latch("node2", None)
    assert State(path).latch("node2") is None
    assert State(path).verdict("1-1.2") is not None


def test_what_another_version_wrote_there_is_passed_over(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"v": 1, "off": [], "latches": {"node1": 5}, "verdicts": {"1-1.1": "works"}}')
    state = State(path)
    assert state.latch("node1") is None
    assert state.verdict("1-1.1") is None
    assert state.problem == ""


def test_what_is_wrong_with_the_file_can_be_asked(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_text("{")
    state = State(path)
    assert "kept as state.damaged" in state.problem
    state.set_latch("node1", "overcurrent")
    assert state.problem == ""
    assert caplog.messages != []
