"""Whatever ends at whatever moment: a card is whole, or it has no sector 0, or nobody has touched it.

The moments are operations of the card, so that they hit every step of the story and not only the long ones.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from . import contents
from .blocks import needed
from .cards import MB, Card, Worker, blank, faulty, flash
from .medium import Medium

pytestmark = needed
CUTS = 200 if os.environ.get("LONG") == "1" else 40
SIZE = 4 * MB
IMAGE = contents.content(3 * MB, seed=3)
USED = b"old disk" * (SIZE // 8)
SEED = random.randrange(10**6)


def _medium(seed: int) -> Medium:
    medium = Medium(SIZE, cached=True, chance=random.Random(seed))
    medium.fill(USED)
    return medium


@cache
def _operations(path: Path) -> int:
    """How many there are in an undisturbed run."""
    medium = _medium(0)
    with faulty("node1", medium) as card:
        medium.log.clear()
        assert flash(path, [card]).code == 0
    return len(medium.log)


def _moments(path: Path, chance: random.Random) -> list[int]:
    """Half of them among the first and last operations, where sector 0 is."""
    last = _operations(path)
    ends = [*range(8), *range(last - 12, last)]
    return [chance.choice(ends) if number % 2 else chance.randrange(last) for number in range(CUTS)]


def _check(content: bytes, *, told_whole: bool, where: str) -> None:
    whole = content[: len(IMAGE)] == IMAGE
    if told_whole:
        assert whole, f"told whole and is not: {where}"
    assert whole or not any(content[:512]) or content == USED, f"bootable and not whole: {where}"


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return contents.packed(tmp_path_factory.mktemp("image") / "card.img", IMAGE)


def test_power_cuts_leave_a_card_whole_or_unbootable(path: Path) -> None:
    """What was not flushed is on the card or not, sector by sector."""
    for number, moment in enumerate(_moments(path, random.Random(SEED))):
        medium = _medium(number)
        with faulty("node1", medium) as card:
            medium.log.clear()
            medium.moment, medium.then = moment, medium.cut
            told = flash(path, [card]).cards()["node1"]
        where = f"cut {number} at operation {moment}, seed {SEED}"
        _check(medium.kept[:], told_whole=told["outcome"] == "whole", where=where)


def test_a_killed_worker_leaves_a_card_whole_or_unbootable(path: Path) -> None:
    for number, moment in enumerate(_moments(path, random.Random(SEED + 1))):
        medium = _medium(number)
        with faulty("node1", medium) as card:
            medium.log.clear()
            medium.moment = moment
            worker = Worker(path, [card])
            medium.then = worker.process.kill
            told = [event for event in worker.events() if event["event"] == "card"]
            worker.process.wait(60)
            worker.close()
        where = f"kill {number} at operation {moment}, seed {SEED + 1}"
        _check(medium.now[:], told_whole=bool(told) and told[0]["outcome"] == "whole", where=where)


def test_the_worker_stops_at_once_when_the_agent_is_gone(path: Path) -> None:
    slow = Medium(SIZE, rate=MB)
    slow.fill(USED)
    with faulty("node1", slow) as card, blank("node2", SIZE, USED) as other:
        worker = Worker(path, [card, other])
        next(event for event in worker.events() if event["event"] == "progress")
        assert worker.process.stdin
        worker.process.stdin.close()
        assert worker.process.wait(5) == 1
        assert worker.process.stdout
        worker.process.stdout.close()
        _check(other.read(), told_whole=False, where="the fast one")
    assert slow.now[:512] == bytes(512)


def test_memory_stays_within_100_mb_for_four_slow_cards(tmp_path: Path) -> None:
    whole = contents.content(120 * MB)
    path = contents.packed(tmp_path / "card.img.xz", whole)
    cards: list[Card] = []
    with ExitStack() as stack:
        for number in range(4):
            medium = Medium(120 * MB, rate=120 * MB)
            cards.append(stack.enter_context(faulty(f"node{number}", medium)))
        worker = Worker(path, cards)
        peak = 0
        for _ in worker.events():
            status = Path(f"/proc/{worker.process.pid}/status").read_text()
            line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
            peak = max(peak, int(line.split()[1]))
        assert worker.process.wait(60) == 0
        worker.close()
    assert 20_000 < peak < 100_000, f"{peak} kB"
