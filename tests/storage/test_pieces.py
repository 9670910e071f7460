"""Any image with holes, with any bmap, arrives as it is; the same code as for cards, on plain files."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible.storage.writing.bmap import Bmap, Mapped
from terrible.storage.writing.flash import Flash
from terrible.storage.writing.job import parse
from terrible.storage.writing.pieces import split

from . import contents

BLOCK = 4096
RUNS = st.lists(
    st.tuples(st.sampled_from(("data", "zeros", "hole")), st.integers(1, 700)), min_size=1, max_size=8
)
CUTS = st.lists(st.integers(0, 2000), max_size=8, unique=True).map(sorted)


def _bmap(cuts: Sequence[int]) -> Bmap:
    return Bmap(2000, tuple(Mapped(first, last) for first, last in list(pairwise(cuts))[::2]))


@given(st.sets(st.integers(0, 20)).map(sorted), st.integers(0, 20), st.integers(1, 21))
def test_split_leaves_no_gap_and_mixes_nothing(cuts: list[int], start: int, end: int) -> None:
    bmap, end = _bmap(cuts), max(start + 1, end)
    parts = list(split(start, end, bmap))
    assert all(first < last for first, last, _ in parts)
    assert [byte for first, last, _ in parts for byte in range(first, last)] == list(range(start, end))
    for first, last, mapped in parts:
        for byte in range(first, last):
            assert mapped == any(one.start <= byte < one.end for one in bmap.ranges)


def _made(path: Path, runs: Sequence[tuple[str, int]], tail: int) -> bytes:
    """A file with such runs of blocks, and so many sectors at its end; what is in it."""
    with path.open("wb") as file:
        for number, (kind, blocks) in enumerate([*runs, ("data", 0)]):
            length = blocks * BLOCK if number < len(runs) else tail * 512
            if kind == "hole":
                file.seek(length, os.SEEK_CUR)
            else:
                pattern = hashlib.sha256(bytes([number])).digest() if kind == "data" else bytes(32)
                file.write(pattern * (length // 32))
        file.truncate(file.tell())
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(RUNS, st.integers(0, 9), st.none() | CUTS, st.sampled_from(("", ".gz")))
def test_any_image_arrives_equal(
    runs: list[tuple[str, int]], tail: int, cuts: list[int] | None, suffix: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="pieces-") as scratch:
        path = Path(scratch, "card.img")
        whole = _made(path, runs, tail)
        if suffix:
            path = contents.packed(Path(scratch, "card.img.gz"), whole)
        ranges = _ranges(cuts, -(-len(whole) // BLOCK))
        if cuts is not None:
            path.with_name("card.bmap").write_bytes(contents.bmap(whole, ranges))
        wanted = bytearray(b"\xee" * (len(whole) + 512))
        for first, last in ranges:
            start, end = first * BLOCK, min((last + 1) * BLOCK, len(whole))
            wanted[start:end] = whole[start:end]
        assert _flashed(path, len(wanted)) == wanted


def _ranges(cuts: list[int] | None, blocks: int) -> list[tuple[int, int]]:
    """First and last blocks of what is mapped, the first block among them; all of it without cuts."""
    if cuts is None:
        return [(0, blocks - 1)]
    ranges = [(first, last - 1) for first, last in list(pairwise(cuts))[::2] if last <= blocks]
    return ranges if ranges and not ranges[0][0] else [(0, 0), *ranges]


def _flashed(path: Path, size: int) -> bytes:
    """What is on a used card afterwards."""
    card = path.with_name("card")
    card.write_bytes(b"\xee" * size)
    fd = os.open(card, os.O_RDWR)
    try:
        cards = [{"slot": "node1", "fd": fd, "size": size}]
        code = Flash(parse(json.dumps({"image": str(path), "cards": cards}))).run()
    finally:
        os.close(fd)
    assert code == 0
    return card.read_bytes()


NO_JOBS = ["", "{}", "[]", "{", '{"image": "/x", "cards": []}', '{"image": "-", "cards": [1]}']


@pytest.mark.parametrize("line", NO_JOBS)
def test_a_line_that_is_no_job(line: str) -> None:
    with pytest.raises(Exception, match="the worker was asked for"):
        parse(line)
