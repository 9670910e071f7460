"""Four cards at once get the image, and nothing else, in the order that is promised."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from . import contents
from .blocks import needed
from .cards import MB, Card, Worker, blank, faulty, flash
from .medium import Medium

pytestmark = needed
IMAGE = contents.content(14 * MB + 512 * 5)
USED = os.urandom(MB) * 20
SIZE = 20 * MB
FORMS = ("card.img", "card.img.xz", "card.img.gz", "card.img.zst")


@pytest.fixture
def four() -> Iterator[list[Card]]:
    """Two used cards and two of zeros."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(blank(f"node{number}", SIZE, USED if number % 2 else b""))
            for number in range(4)
        ]


@pytest.mark.parametrize("form", FORMS)
def test_every_byte_of_the_image_is_on_every_card(form: str, four: list[Card], tmp_path: Path) -> None:
    outcome = flash(contents.packed(tmp_path / form, IMAGE), four)
    assert outcome.code == 0
    assert outcome.end == {"event": "end", "error": None, "sha256": hashlib.sha256(IMAGE).hexdigest()}
    for card in four:
        assert card.read(0, len(IMAGE)) == IMAGE, card.slot
        told = outcome.cards()[card.slot]
        assert (told["outcome"], told["sha256"]) == ("whole", hashlib.sha256(IMAGE).hexdigest())


def test_holes_of_the_file_are_zeros_on_every_card(four: list[Card], tmp_path: Path) -> None:
    outcome = flash(contents.sparse(tmp_path / "card.img", IMAGE), four)
    assert outcome.code == 0
    assert all(card.read(0, len(IMAGE)) == IMAGE for card in four)


@pytest.mark.parametrize("form", FORMS)
def test_what_the_bmap_does_not_map_is_left_alone(form: str, four: list[Card], tmp_path: Path) -> None:
    ranges = [(0, 2), (100, 300), (600, 600), (3000, 3582)]
    path = contents.packed(tmp_path / form, IMAGE)
    path.with_name("card.bmap").write_bytes(contents.bmap(IMAGE, ranges))
    outcome = flash(path, four)
    assert outcome.code == 0
    assert outcome.events[0] == {
        "event": "image",
        "bytes": len(IMAGE),
        "mapped": sum(min((last + 1) * 4096, len(IMAGE)) - first * 4096 for first, last in ranges),
    }
    wanted = {True: bytearray(USED), False: bytearray(SIZE)}
    for first, last in ranges:
        for content in wanted.values():
            content[first * 4096 : min((last + 1) * 4096, len(IMAGE))] = IMAGE[
                first * 4096 : (last + 1) * 4096
            ]
    for card in four:
        assert card.read() == wanted[card.slot in ("node1", "node3")], card.slot


@pytest.mark.parametrize("form", FORMS)
def test_an_image_from_a_pipe(form: str, four: list[Card], tmp_path: Path) -> None:
    data = contents.packed(tmp_path / form, IMAGE).read_bytes()
    read, write = os.pipe()
    worker = Worker("-", four, [read], image_fd=read, sha256=hashlib.sha256(data).hexdigest())
    os.close(read)
    _pour(write, data)
    assert worker.outcome().code == 0
    assert all(card.read(0, len(IMAGE)) == IMAGE for card in four)


def test_sector_0_is_zeroed_first_and_comes_last_after_all_was_read_back(tmp_path: Path) -> None:
    medium = Medium(SIZE)
    medium.fill(USED)
    with faulty("node1", medium) as card:
        medium.log.clear()
        assert flash(contents.packed(tmp_path / "card.img", IMAGE), [card]).code == 0
    assert medium.log[0] == ("write", 0, 512)
    assert medium.log[1][0] == "flush"
    last = max(index for index, (what, *_) in enumerate(medium.log) if what == "write")
    assert medium.log[last] == ("write", 0, 512)
    assert [what for what, *_ in medium.log[last + 1 :]][:1] == ["flush"]
    first = max(index for index, one in enumerate(medium.log[:last]) if one[0] == "write")
    assert medium.log[first + 1][0] == "flush"
    written = _covered(medium, "write", 0, first + 1)
    assert written - _covered(medium, "read", first + 1, last) <= _marks(medium)


def _covered(medium: Medium, what: str, start: int, end: int) -> set[int]:
    return {
        sector
        for one, offset, length in medium.log[start:end]
        if one == what
        for sector in range(offset // 512, (offset + length) // 512)
    }


def _marks(medium: Medium) -> set[int]:
    """What is written to be discarded is not read back as the image."""
    discard = next(index for index, (what, *_) in enumerate(medium.log) if what == "discard")
    return _covered(medium, "write", 0, discard)


def test_zeros_are_not_written_where_a_discarded_card_reads_zeros(tmp_path: Path) -> None:
    path = contents.packed(tmp_path / "card.img", IMAGE)
    forgets, keeps = Medium(SIZE), Medium(SIZE, forgets=False)
    for medium in (forgets, keeps):
        medium.fill(USED)
    with faulty("node1", forgets) as one, faulty("node2", keeps) as two:
        told = flash(path, [one, two]).cards()
    assert forgets.now[: len(IMAGE)] == keeps.now[: len(IMAGE)] == IMAGE
    zeros = IMAGE.count(bytes(MB))
    assert told["node2"]["written"] - told["node1"]["written"] == zeros * MB > 0


def test_a_slow_card_is_set_aside_and_gets_a_pass_of_its_own(tmp_path: Path) -> None:
    whole = contents.content(90 * MB)
    path = contents.packed(tmp_path / "card.img.gz", whole)
    path.with_name("card.bmap").write_bytes(contents.bmap(whole, [(0, len(whole) // 4096 - 1)]))  # zeros, too
    slow = Medium(90 * MB, rate=4 * MB)
    with blank("node1", 90 * MB) as fast, faulty("node2", slow) as aside:
        worker = Worker(path, [fast, aside], memory=32 * MB)
        done = {}
        for event in worker.events():
            if event["event"] == "progress" and event["slot"] == "node2":
                done["node2"] = event["done"]
            if event["event"] == "card" and event["slot"] == "node1":
                assert done["node2"] < 65 * MB, "nobody waits for a slow card"
                slow.rate = None
        assert worker.outcome().code == 0
        assert fast.read() == whole
    assert slow.now[:] == whole
    writes = [offset for what, offset, length in slow.log if what == "write"]
    assert len(writes) < 2 * 90 + 10, "what was written before it was set aside is not written again"


def test_from_a_pipe_all_wait_for_the_slowest(tmp_path: Path) -> None:
    whole = contents.content(60 * MB)
    slow = Medium(60 * MB, rate=20 * MB)
    read, write = os.pipe()
    with blank("node1", 60 * MB) as fast, faulty("node2", slow) as card:
        worker = Worker("-", [fast, card], [read], image_fd=read, memory=24 * MB)
        os.close(read)
        feeder = Thread(target=_pour, args=(write, whole))
        feeder.start()
        outcome = worker.outcome()
        feeder.join()
        assert fast.read() == whole
    assert outcome.code == 0
    assert slow.now[:] == whole


def _pour(fd: int, whole: bytes) -> None:
    with open(fd, "wb") as pipe:
        pipe.write(whole)


def test_patches_go_to_their_own_card_only(tmp_path: Path) -> None:
    keys = os.urandom(700)
    (tmp_path / "keys").write_bytes(keys)
    patch = {"slot": "node1", "offset": 5 * MB + 100, "file": str(tmp_path / "keys")}
    with blank("node1", SIZE) as one, blank("node2", SIZE) as two:
        outcome = flash(contents.packed(tmp_path / "card.img", IMAGE), [one, two], patches=[patch])
        assert outcome.code == 0
        wanted = bytearray(IMAGE)
        wanted[5 * MB + 100 : 5 * MB + 800] = keys
        assert one.read(0, len(IMAGE)) == wanted
        assert two.read(0, len(IMAGE)) == IMAGE


def test_progress_tells_stage_bytes_and_what_is_left(tmp_path: Path) -> None:
    medium = Medium(SIZE, rate=10 * MB)
    with faulty("node1", medium) as card:
        events = flash(contents.packed(tmp_path / "card.img", IMAGE), [card]).events
    told = [event for event in events if event["event"] == "progress"]
    stages = list(dict.fromkeys(event["stage"] for event in told))
    assert stages in (["writing", "verifying"], ["preparing", "writing", "verifying"])
    assert all(0 <= event["done"] <= event["total"] for event in told)
    assert any(event["rate"] > 0 and event["left"] is not None for event in told)
