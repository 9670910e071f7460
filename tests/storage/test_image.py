"""An image is the same whether it is packed or not; what is damaged or cut short is refused in words."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from terrible.errors import HostError
from terrible.storage.images import image as images
from tests.storage.images import MIB, Stock, pack, sh

PACKED = ["xz", "gz", "zst"]


def boot_files(path: Path, spill: Path, *, whole: bool = True) -> dict[str, bytes]:
    """What the boot partition of an image holds."""
    with images.opened(path, spill, whole=whole) as image:
        volume = image.boot_volume()
        return {file.path: b"".join(volume.content(file)) for file in volume.walk() if not file.is_directory}


def refusal(path: Path, spill: Path, *, whole: bool = True) -> str:
    with pytest.raises(HostError) as refused, images.opened(path, spill, whole=whole) as image:
        volume = image.boot_volume()
        for file in volume.walk():
            for _ in volume.content(file):
                pass
    said = str(refused.value)
    assert said.isprintable()
    assert str(path) in said
    assert not list(spill.iterdir())
    return said


@pytest.fixture
def spill(tmp_path: Path) -> Path:
    (tmp_path / "spill").mkdir()
    return tmp_path / "spill"


@pytest.mark.parametrize(
    "stock", [Stock(fat=32), Stock(fat=16, boot_at=4), Stock(fat=12, boot_at=1, boot_size=8)]
)
def test_every_layout_gives_its_files_packed_and_not(tmp_path: Path, spill: Path, stock: Stock) -> None:
    path = stock.build(tmp_path / "some image.img")
    for version in (path, *(pack(path, how) for how in PACKED)):
        assert boot_files(version, spill) == stock.files
        assert boot_files(version, spill, whole=False) == stock.files
    assert not list(spill.iterdir())


@pytest.mark.parametrize("how", ["", *PACKED])
def test_the_hash_is_of_what_comes_onto_the_card(bookworm: Path, tmp_path: Path, how: str) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes())
    with images.opened(pack(copy, how) if how else copy, tmp_path, whole=True) as image:
        assert image.sha256 == hashlib.sha256(bookworm.read_bytes()).hexdigest()
        assert image.size == bookworm.stat().st_size
        assert image.packed == bool(how)


def test_to_look_at_a_packed_image_its_end_need_not_be_read(bookworm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes() + os.urandom(4 * MIB))
    packed = pack(copy, "gz")
    with packed.open("r+b") as file:
        file.truncate(packed.stat().st_size - MIB)
    with images.opened(packed, tmp_path, whole=False) as image:
        assert (image.size, image.sha256) == (None, None)


@pytest.mark.parametrize("how", PACKED)
def test_a_packed_file_that_was_cut_short(bookworm: Path, tmp_path: Path, spill: Path, how: str) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes())
    packed = pack(copy, how)
    os.truncate(packed, packed.stat().st_size - 20)
    assert "cannot be unpacked" in refusal(packed, spill)


@pytest.mark.parametrize("how", PACKED)
def test_a_packed_file_that_is_damaged(bookworm: Path, tmp_path: Path, spill: Path, how: str) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes())
    packed = pack(copy, how)
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    packed.write_bytes(content)
    assert "cannot be unpacked" in refusal(packed, spill)


@pytest.mark.parametrize("how", ["", *PACKED])
@pytest.mark.parametrize("left", [300, 9 * MIB, 50 * MIB])
def test_an_image_that_was_cut_short(
    bookworm: Path, tmp_path: Path, spill: Path, how: str, left: int
) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes()[:left])
    said = refusal(pack(copy, how) if how else copy, spill)
    assert "cut short" in said or "in the middle of the partition table" in said


def test_a_packed_image_that_ends_within_its_boot_partition_is_not_even_looked_at(
    bookworm: Path, tmp_path: Path, spill: Path
) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes()[: 9 * MIB])
    assert "cut short" in refusal(pack(copy, "zst"), spill, whole=False)


def test_what_wants_more_memory_than_there_may_be_is_to_be_unpacked_by_hand(
    tmp_path: Path, spill: Path
) -> None:
    path = tmp_path / "image.img.xz"
    path.write_bytes(sh("xz", "-c", "--lzma2=preset=1,dict=64MiB", given=bytes(MIB)))
    said = refusal(path, spill)
    assert "emory" in said
    assert "by hand: xz -dk FILE" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends after 0 bytes"),
        (b"PK\x03\x04" + bytes(600), "zip"),
        (b"BZh9" + bytes(600), "bzip2"),
        (b"#!/bin/sh\n" * 100, "no partition table"),
        (b"\x1f\x8b" + bytes(600), "cannot be unpacked"),
    ],
)
def test_what_is_no_image(tmp_path: Path, spill: Path, content: bytes, said: str) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    assert said in refusal(path, spill)


def test_what_is_no_file(tmp_path: Path, spill: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "no regular file" in refusal(tmp_path / "fifo", spill)
    assert "no regular file" in refusal(tmp_path, spill)
    assert "No such file" in refusal(tmp_path / "absent", spill)
    assert "no regular file" in refusal(Path("/dev/null"), spill)


def test_a_missing_program_is_named_with_the_line_that_installs_it(
    bookworm: Path, tmp_path: Path, spill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes())
    packed = pack(copy, "zst")
    monkeypatch.setattr("terrible.storage.images.programs._PATH", "")
    monkeypatch.setenv("PATH", str(spill))
    with pytest.raises(HostError, match="not installed: zstd; sudo apt install zstd"):
        boot_files(packed, spill)


def test_where_a_packed_image_finds_no_room_is_said(bookworm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes())
    with pytest.raises(HostError, match="/absent: No such file or directory, unpacking"):
        boot_files(pack(copy, "xz"), tmp_path / "absent")


def test_a_boot_partition_that_would_fill_the_heads_disk(
    bookworm: Path, tmp_path: Path, spill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "image.img"
    copy.write_bytes(bookworm.read_bytes())
    monkeypatch.setattr(images, "_MOST_KEPT", MIB)
    assert "holds more than 1 MiB" in refusal(pack(copy, "zst"), spill)
