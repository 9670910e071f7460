"""A diagnosis becomes the value of a label: one per kind of failure, and never too many."""

from __future__ import annotations

from collections import Counter

import pytest

from terrible import diagnosis
from terrible.exporter.reasons import MOST, OTHER, count, fold
from terrible.model import FileRecord, Stage, Transcript


def transcript(kernel: str) -> Transcript:
    served = FileRecord("start.elf", 1, None, "base", 0.0)
    missing = FileRecord(kernel, 0, None, None, 0.0, ("node1", "base (empty)"))
    return Transcript("node1", 1, 0.0, files=[served, missing])


def test_numbers_files_and_places_fall_out_of_the_agent_s_sentences() -> None:
    for kernel, limit in (("kernel.img", 180.0), ("kernel8.img", 0.25)):
        record = transcript(kernel)
        assert fold(diagnosis.never_came_back(Stage.LOADER, limit, record)) == "no gadget * s after *"
        assert fold(diagnosis.silent(limit, record)) == "stalled after *: no request for * s"
        said = fold(diagnosis.never_came_back(Stage.ROM, limit, record))
        assert said == "bootcode sent, never came back in * s"


@pytest.mark.parametrize(
    ("said", "folded"),
    [
        ("the ROM stalled a transfer", "the ROM stalled a transfer"),
        ("bootcode.bin is missing: no layer has it (in a; base is /b)", "* is missing: no layer has it"),
        ("a transfer to 1-1.2 failed: LIBUSB_ERROR_IO [-1]", "a transfer to * failed: LIBUSB_ERROR_IO *"),
        (
            "started over 7 times, the last time after start4.elf",
            "started over * times, the last time after *",
        ),
        ("", "none given"),
        ("; (x)", "none given"),
    ],
)
def test_what_is_left_is_the_sentence(said: str, folded: str) -> None:
    assert fold(said) == folded


def test_too_many_reasons_are_counted_together() -> None:
    reasons: Counter[str] = Counter()
    for number in range(MOST + 10):
        count(reasons, "x" * (number + 1))
    count(reasons, "x")
    assert len(reasons) == MOST + 1
    assert (reasons[OTHER], reasons["x"]) == (10, 2)
