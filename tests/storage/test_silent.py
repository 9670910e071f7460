"""A card that answers nothing any more is given up, and nobody waits for it."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

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
