"""What `check` says of cards that this head has written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrible.cli.health import cards
from terrible.cli.health.finding import Level
from terrible.config import Config, FilesConfig
from terrible.errors import Code
from terrible.state import State

FLASHED = {"image": "node.img.xz", "sha256": "5f" * 32}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "boot" / "node2").mkdir(parents=True)
    files = FilesConfig(directory=tmp_path / "boot")
    return Config(hub="1-1", ports=2, state_directory=tmp_path, files=files)


def told(config: Config) -> list[tuple[Level, str]]:
    return [(finding.level, finding.said) for finding in cards.findings(config)]


def record(directory: Path, sha256: str) -> None:
    (directory / ".terrible-image.json").write_text(json.dumps({"image": "other.img", "sha256": sha256}))


def test_nothing_is_said_of_cards_that_were_never_written(config: Config) -> None:
    assert told(config) == []


def test_boot_files_of_the_image_on_the_card_are_right(config: Config, tmp_path: Path) -> None:
    State(tmp_path / "state.json").set_flashed("node2", FLASHED)
    record(tmp_path / "boot", FLASHED["sha256"])
    assert told(config) == [(Level.OK, "node2: node.img.xz, and its boot files are of it")]


def test_boot_files_of_another_image_are_a_warning_and_a_slots_own_come_first(
    config: Config, tmp_path: Path
) -> None:
    State(tmp_path / "state.json").set_flashed("node2", FLASHED)
    record(tmp_path / "boot", FLASHED["sha256"])
    record(tmp_path / "boot" / "node2", "00" * 32)
    said = "node2: node.img.xz is on its card, its boot files are of other.img"
    assert told(config) == [(Level.WARNING, said)]


def test_the_tree_of_the_image_on_the_card_is_what_the_slot_boots_from(
    config: Config, tmp_path: Path
) -> None:
    State(tmp_path / "state.json").set_flashed("node1", FLASHED)
    (tmp_path / "boot" / "v2").mkdir()
    record(tmp_path / "boot", "00" * 32)
    record(tmp_path / "boot" / "v2", FLASHED["sha256"])
    assert told(config) == [(Level.OK, "node1: node.img.xz, and its boot files are of it")]


def test_boot_files_of_no_image_are_only_told(config: Config, tmp_path: Path) -> None:
    State(tmp_path / "state.json").set_flashed("node1", FLASHED)
    assert [level for level, _ in told(config)] == [Level.NOTE]


def test_a_dirty_card(config: Config, tmp_path: Path) -> None:
    State(tmp_path / "state.json").set_latch("node1", Code.DIRTY_CARD)
    said = "node1: its card was not written to the end, so that it is not booted"
    assert told(config) == [(Level.WARNING, said)]
