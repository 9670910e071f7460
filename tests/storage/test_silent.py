"""A card that answers nothing any more is given up, and nobody waits for it."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from terrible.storage.faults import CardError
from terrible.storage.writing.device import Device
from terrible.storage.writing.lane import End
from terrible.storage.writing.pieces import Kind, Piece
from terrible.storage.writing.writer import Card, Writer

from . import contents
from .blocks import needed
from .cards import MB, Worker, blank, faulty
from .medium import Medium

pytestmark = needed

SIZE = 24 * MB
PATIENT = """
import sys
from terrible.storage.writing import watch, worker
watch.SILENCE = 2.0
sys.exit(worker.main())
"""


class Impatient(Worker):
    """Waits 2 s instead of five minutes."""

    START = ("-c", PATIENT)


def stuck(medium: Medium, asked: str, offset: int, until: Event) -> None:
    """From the first such operation on it answers nothing."""
    wrapped = getattr(medium, asked)

    def hang(at: int, what: object) -> object:
        if at >= offset:
            until.wait()
        return wrapped(at, what)

    setattr(medium, asked, hang)


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("asked", ["write", "read"])
def test_a_card_that_no_longer_answers_is_given_up_and_the_others_are_whole(
    tmp_path: Path, asked: str, piped: bool
) -> None:
    whole = contents.content(SIZE)
    path = contents.packed(tmp_path / "card.img", whole)
    medium, over = Medium(SIZE), Event()
    with path.open("rb") as file, faulty("node1", medium) as card, blank("node2", SIZE) as other:
        stuck(medium, asked, 6 * MB, over)  # not before: the kernel looks for partitions first
        source = {"image_fd": file.fileno()} if piped else {}
        worker = Impatient(
            "-" if piped else path,
            [card, other],
            [file.fileno()] if piped else [],
            memory=20 * MB,
            **source,
        )
        try:
            events = worker.events()
            told = [next(event for event in events if event["event"] == "card") for _ in "12"]
        finally:
            over.set()
        rest = list(events)
        worker.process.wait(60)
        worker.close()
        assert other.read() == whole
    assert {event["slot"]: event["outcome"] for event in told} == {"node1": "failed", "node2": "whole"}
    (failed,) = (event for event in told if event["slot"] == "node1")
    assert failed["error"] == "the card has not answered for 2 s"
    assert failed["written"] > 0, "it is dirty"
    assert [event for event in rest if event["event"] == "card"] == [], "a card is told of once"


class Slow(Device):
    """Each write takes 100 s by a clock of its own, and notes how long its card had been silent before."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, SIZE)
        self.now = 0.0
        self.silences: list[float] = []
        self.writer: Writer | None = None

    def write(self, view: memoryview, offset: int) -> None:
        assert self.writer is not None
        self.silences.append(self.writer.silent())
        super().write(view, offset)
        self.now += 100.0


def test_a_slow_card_is_not_silent_while_it_takes_a_hole_of_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "card").open("w+b") as file:
        file.truncate(SIZE)
        device = Slow(file.fileno())
        monkeypatch.setattr("terrible.storage.writing.writer.monotonic", lambda: device.now)
        card = Card("node1")
        writer = device.writer = Writer(card, device, [], size=SIZE, discard=False, over=lambda _: None)
        writer.lane.put(Piece(0, SIZE, Kind.ZERO))
        writer.lane.close(End.DONE)
        writer.conclude(CardError("enough"))
        writer.thread.join(60)
    assert (card.error, len(device.silences)) == ("enough", 1 + SIZE // MB), "sector 0, and the hole"
    assert max(device.silences) <= 100.0
