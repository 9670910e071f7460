"""What is wrong with an image is found before sector 0 is written; what is wrong with a card is its own."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from . import contents
from .blocks import needed
from .cards import MB, Card, Outcome, Worker, blank, faulty, flash, loop
from .medium import Medium

pytestmark = needed
IMAGE = contents.content(6 * MB)
SIZE = 8 * MB
USED = b"\x55\xaa old \0" * (SIZE // 8)


def _refused(path: Path | str, why: str, *, touched: bool, **asked: object) -> Outcome:
    """Flash it on a used card; the image is at fault, and the card is not bootable or as it was."""
    with blank("node1", SIZE, USED) as card:
        outcome = flash(path, [card], **asked)
        assert outcome.code == 1
        assert why in outcome.end["error"], outcome.end
        assert outcome.cards()["node1"]["outcome"] == "failed"
        assert (outcome.cards()["node1"]["written"] > 0) == touched
        if touched:
            assert card.read(0, 512) == bytes(512)
        else:
            assert card.read() == USED
    return outcome


def _cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def _flipped(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :]


def _copied_over(path: Path) -> None:
    """As `cp` does it."""
    contents.packed(path, contents.content(12 * MB, seed=2))


def _grown(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 4096)


def _cut_at_a_hole(path: Path) -> None:
    """What is missing then reads as zeros, which it was in part."""
    os.truncate(path, path.stat().st_size * 5 // 6)


@pytest.mark.parametrize("harm", [_cut, _flipped])
@pytest.mark.parametrize("form", ["gz", "xz", "zst"])
@pytest.mark.parametrize("piped", [False, True])
def test_a_packed_image_that_is_cut_off_or_damaged(
    form: str, harm: Callable[[bytes], bytes], piped: bool, tmp_path: Path
) -> None:
    path = contents.packed(tmp_path / f"card.img.{form}", contents.sector0(6 * MB) + os.urandom(6 * MB - 512))
    path.write_bytes(harm(path.read_bytes()))
    if not piped:
        known = form == "xz" and harm is _cut  # its index is at the end
        _refused(path, "cut off or damaged", touched=not known)
        return
    with path.open("rb") as file, blank("node1", SIZE, USED) as card:
        worker = Worker("-", [card], [file.fileno()], image_fd=file.fileno())
        assert worker.outcome().code == 1
        assert card.read(0, 512) == bytes(512)


def test_a_bare_image_that_ends_before_its_partition(tmp_path: Path) -> None:
    (tmp_path / "card.img").write_bytes(IMAGE[: 5 * MB])
    _refused(tmp_path / "card.img", "cut off", touched=False)


@pytest.mark.parametrize("size", [5 * MB, 5 * MB + 100])
def test_an_image_in_a_pipe_that_ends_too_early(size: int, tmp_path: Path) -> None:
    (tmp_path / "card.img").write_bytes(IMAGE[:size])
    with (tmp_path / "card.img").open("rb") as file, blank("node1", SIZE, USED) as card:
        outcome = Worker("-", [card], [file.fileno()], image_fd=file.fileno()).outcome()
        assert outcome.code == 1
        assert card.read(0, 512) == bytes(512)


def test_an_image_in_a_pipe_that_goes_on_after_its_end(tmp_path: Path) -> None:
    """What the bmap leaves out goes to no card, and would be read for ever."""
    (tmp_path / "bmap").write_bytes(contents.bmap(IMAGE, [(0, 9)]))
    read, write = os.pipe()
    with blank("node1", SIZE, USED) as card, ThreadPoolExecutor() as pool:
        worker = Worker("-", [card], [read], image_fd=read, bmap=str(tmp_path / "bmap"))
        os.close(read)
        taken = pool.submit(_taken, write, IMAGE, 200)
        assert "has more than the" in worker.outcome().end["error"]
        assert taken.result(60) < 20
        assert card.read(0, 512) == bytes(512)


def _taken(fd: int, whole: bytes, more: int) -> int:
    """How many of the MB that follow are taken."""
    with open(fd, "wb", buffering=0) as pipe, suppress(BrokenPipeError):
        pipe.write(whole)
        for number in range(more):  # noqa: B007  # the last that was begun
            pipe.write(bytes(MB))
    return number


@pytest.mark.parametrize("form", ["card.img", "card.img.xz"])
def test_a_digest_that_is_not_the_image_s(form: str, tmp_path: Path) -> None:
    path = contents.packed(tmp_path / form, IMAGE)
    _refused(path, "not the one that was meant", touched=True, sha256="ab" * 32)
    path.with_name(f"{form}.sha256").write_text(f"{'cd' * 32}  {form}\n")
    _refused(path, "not the one that was meant", touched=True)
    path.with_name(f"{form}.sha256").write_text("nothing of use\n")
    _refused(path, "tells no sha256", touched=False)


def test_a_bmap_of_another_image(tmp_path: Path) -> None:
    path = contents.packed(tmp_path / "card.img.gz", IMAGE)
    other = contents.content(6 * MB, seed=2)
    path.with_name("card.bmap").write_bytes(contents.bmap(other, [(0, 9), (500, 1000)]))
    _refused(path, "not the one of the bmap", touched=True)


def test_a_bmap_that_is_damaged_or_of_another_size(tmp_path: Path) -> None:
    path = contents.packed(tmp_path / "card.img", IMAGE)
    good = contents.bmap(IMAGE, [(0, 9)])
    path.with_name("card.bmap").write_bytes(good.replace(b" 0-9 ", b" 0-8 "))
    _refused(path, "card.bmap: the bmap is not one", touched=False)
    path.with_name("card.bmap").write_bytes(contents.bmap(IMAGE + bytes(4096), [(0, 9)]))
    _refused(path, "its bmap of an image of", touched=False)


@pytest.mark.parametrize("form", ["card.img", "card.img.gz"])
@pytest.mark.parametrize("harm", [_copied_over, _grown, _cut_at_a_hole])
def test_a_file_that_is_written_to_while_it_is_read(
    form: str, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    whole = contents.content(12 * MB)  # more than there is memory for
    path = contents.packed(tmp_path / form, whole)
    if form == "card.img":
        contents.sparse(path, whole)
    medium = Medium(16 * MB)
    with faulty("node1", medium) as card:
        medium.log.clear()
        medium.moment, medium.then = 2, lambda: harm(path)
        outcome = flash(path, [card], memory=22 * MB)
    assert "has changed while it was read" in outcome.end["error"]
    assert outcome.cards()["node1"]["outcome"] == "failed"
    assert medium.now[:512] == bytes(512)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("card.img", b"", "cut off"),
        ("card.img", b"PK\x03\x04" + bytes(508), "zip archive"),
        ("card.img.xz", bytes(512), "not packed as its name says"),
        ("other", None, "No such file"),
    ],
)
def test_what_is_no_image(name: str, content: bytes | None, why: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    _refused(tmp_path / name, why, touched=False)


def test_an_index_that_wants_more_memory_than_there_may_be(tmp_path: Path) -> None:
    """xz keeps 16 bytes for each record of two or three, and has no limit of its own for a list."""
    records, flags = 9_000_000, b"\0\x01"
    index = b"\0" + _variable(records) + (_variable(13) + _variable(512)) * records
    index += bytes(-len(index) % 4)
    index += struct.pack("<I", zlib.crc32(index))
    size = struct.pack("<I", len(index) // 4 - 1) + flags
    with (tmp_path / "card.img.xz").open("wb") as file:
        file.write(b"\xfd7zXZ\0" + flags + struct.pack("<I", zlib.crc32(flags)))
        file.seek(12 + 16 * records)
        file.write(index + struct.pack("<I", zlib.crc32(size)) + size + b"YZ")
    _refused(tmp_path / "card.img.xz", "of memory is required", touched=False)


def _variable(number: int) -> bytes:
    """An integer as .xz has them."""
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + _variable(number >> 7)


def test_an_image_on_a_worn_disk() -> None:
    """An ordinary file whose first bytes give EIO."""
    _refused("/proc/self/mem", "cannot be read: Input/output error", touched=False)


@pytest.mark.parametrize("form", ["card.img", "card.img.xz", "card.img.zst"])
def test_a_card_that_is_too_small_is_not_touched_and_the_other_is_written(form: str, tmp_path: Path) -> None:
    path = contents.packed(tmp_path / form, IMAGE)
    with blank("node1", 5 * MB, USED) as small, blank("node2", SIZE) as other:
        outcome = flash(path, [small, other])
        assert "too small" in outcome.cards()["node1"]["error"]
        assert small.read() == USED[: 5 * MB]
        assert outcome.cards()["node2"]["outcome"] == "whole"
        assert other.read(0, len(IMAGE)) == IMAGE
    assert outcome.code == 1


def test_an_image_of_unknown_size_that_outgrows_the_card(tmp_path: Path) -> None:
    path = contents.packed(tmp_path / "card.img.gz", bytes(1024) + IMAGE[1024:])  # no partition table tells
    with blank("node1", 5 * MB, USED) as small:
        assert "too small" in flash(path, [small]).cards()["node1"]["error"]
        assert small.read(0, 512) == bytes(512)


def _pulled(medium: Medium) -> None:
    medium.moment, medium.then = 9, lambda: setattr(medium, "dead", True)


WRONG: dict[str, tuple[Callable[[Medium], None], str]] = {
    "pulled": (_pulled, "Input/output error"),
    "does not take a sector": (lambda m: setattr(m, "unwritable", 3 * MB), "could not be written"),
    "cannot be read back": (lambda m: setattr(m, "unreadable", 3 * MB), "could not be read back"),
    "keeps another bit": (lambda m: setattr(m, "flips", 3 * MB), "does not hold what was written"),
    "takes no sector 0": (lambda m: setattr(m, "unwritable", 0), "could not be written at byte 0"),
    "keeps no sector 0": (lambda m: setattr(m, "flips", 440), "sector 0"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_card_never_stops_the_others(wrong: str, tmp_path: Path) -> None:
    medium = Medium(SIZE)
    medium.fill(USED)
    path = contents.packed(tmp_path / "card.img", IMAGE)
    path.with_name("card.bmap").write_bytes(contents.bmap(IMAGE, [(0, 1535)]))
    harm, why = WRONG[wrong]
    with blank("node1", SIZE, USED) as good, faulty("node2", medium) as bad, blank("node3", SIZE) as other:
        harm(medium)
        medium.log.clear()
        outcome = flash(path, [good, bad, other])
        assert good.read(0, len(IMAGE)) == other.read(0, len(IMAGE)) == IMAGE
    assert {slot: told["outcome"] for slot, told in outcome.cards().items()} == {
        "node1": "whole",
        "node2": "failed",
        "node3": "whole",
    }
    assert why in outcome.cards()["node2"]["error"]
    assert outcome.cards()["node2"]["written"] > 0
    assert outcome.code == 1
    assert outcome.end["error"] is None
    assert wrong == "takes no sector 0" or not any(medium.now[:440])


@pytest.mark.parametrize("keeps", [MB, 2 * MB - 512])
def test_a_card_that_forgets_all_but_one_place(keeps: int, tmp_path: Path) -> None:
    """None of those by which it is seen that it has forgotten, and one where the image is zeros."""
    assert not any(IMAGE[MB : 2 * MB])
    medium = Medium(SIZE, keeps=keeps)
    medium.fill(USED)
    with faulty("node1", medium) as card:
        told = flash(contents.packed(tmp_path / "card.img", IMAGE), [card]).cards()["node1"]
    assert told["outcome"] == "failed"
    assert "does not hold what was written at byte" in told["error"]


@contextmanager
def _thin(tmp_path: Path) -> Iterator[Card]:
    """A card on a head whose disk is full after 4 MB."""
    where = tmp_path / "full"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", where], check=True)
    try:
        with (where / "card").open("wb") as file:
            file.truncate(SIZE)
        with loop(where / "card", "node1") as card:
            yield card
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def test_a_device_without_space_behind_it(tmp_path: Path) -> None:
    path = contents.packed(tmp_path / "card.img", os.urandom(6 * MB))
    with _thin(tmp_path) as card:
        told = flash(path, [card]).cards()["node1"]
        assert told["outcome"] == "failed"
        assert "No space left" in told["error"] or "Input/output" in told["error"]
        assert card.read(0, 512) == bytes(512)


def test_a_patch_that_does_not_fit_is_refused_before_the_card_is_touched(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(bytes(600))
    path = contents.packed(tmp_path / "card.img", IMAGE)
    for offset in (0, 511, SIZE - 599):
        patch = {"slot": "node1", "offset": offset, "file": str(tmp_path / "keys")}
        with blank("node1", SIZE, USED) as card:
            told = flash(path, [card], patches=[patch]).cards()["node1"]
            assert "does not fit" in told["error"]
            assert card.read() == USED
