"""One terrible-net at a time; whoever comes while another goes away is refused at worst."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from terrible.errors import HostError
from terrible.net import helper

ROUNDS = 1000


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(helper, "RUN", tmp_path / "run")
    monkeypatch.setattr(helper, "LOCK", tmp_path / "run/lock")
    return tmp_path / "run"


def come_and_go(_: int) -> int:
    """How often we were the one."""
    held = 0
    for _ in range(ROUNDS):
        try:
            with helper.own():
                held += 1
        except HostError as error:
            assert "another terrible-net is at work" in str(error)
    return held


def test_those_who_come_and_go_at_once_are_refused_at_worst(run: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(come_and_go, range(4))) > 0
    assert not run.exists()
