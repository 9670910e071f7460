"""The FAT reader gives what mtools gives, file by file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.storage.fatdisk import Disk, make, put
from tests.storage.images import sh


def as_mtools(volume: Path, folder: Path) -> dict[str, bytes]:
    """All files as mtools reads them."""
    folder.mkdir()
    sh("mcopy", "-s", "-n", "-i", volume, "::/", folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


KINDS = [
    pytest.param(12, 1440, (), id="FAT12"),
    pytest.param(12, 4000, ("-s", "8"), id="FAT12, clusters of 4 KiB"),
    pytest.param(16, 20_000, (), id="FAT16"),
    pytest.param(32, 40_000, ("-s", "1"), id="FAT32 as pi-gen makes it"),
    pytest.param(32, 300_000, ("-S", "4096", "-s", "1"), id="FAT32, sectors of 4 KiB"),
    pytest.param(32, 300_000, ("-f", "1"), id="FAT32, one table"),
]
NAMES = [
    "kernel.img", "KERNEL7.IMG", "Mixed.Case", "bcm2708-rpi-zero-w.dtb", "no_suffix", "two.dots.in.it",
    "ä ö ü.txt", "日本語の長い名前.txt", "x" * 200, "a.b", "thirteen-char", "exactly26charactersinthis1",
]  # fmt: skip


@pytest.mark.parametrize(("bits", "kib", "options"), KINDS)
def test_every_file_is_as_mtools_reads_it(
    tmp_path: Path, bits: int, kib: int, options: tuple[str, ...]
) -> None:
    path = make(tmp_path / "volume", bits, kib, *options)
    sh("mmd", "-i", path, "::/overlays", "::/overlays/Deep", "::/empty folder")
    for number, name in enumerate(NAMES):
        put(path, name, bytes([65 + number]) * (number**3 * 37))
        put(path, f"overlays/Deep/{name}", name.encode() * number)
    for number in range(70):  # a directory of more than one cluster
        put(path, f"overlays/an-overlay-with-a-long-name-{number}.dtbo", bytes([number]) * number * 13)
    disk = Disk(path.read_bytes())
    assert disk.volume().kind == f"FAT{bits}"
    assert disk.files() == as_mtools(path, tmp_path / "by mtools")
    folders = [file.path for file in disk.volume().walk() if file.is_directory]
    assert folders == ["overlays", "overlays/Deep", "empty folder"]


def test_a_file_in_many_pieces_and_what_was_deleted(tmp_path: Path) -> None:
    path = make(tmp_path / "volume", 12, 1440, "-r", "512")
    for number in range(80):
        put(path, f"a-file-with-a-long-name-{number}", bytes([number]) * 16_000)
    for number in range(0, 80, 2):
        sh("mdel", "-i", path, f"::/a-file-with-a-long-name-{number}")
    content = b"".join(struct.pack(">I", number) for number in range(140_000))
    put(path, "scattered", content)
    files = Disk(path.read_bytes()).files()
    assert files["scattered"] == content
    assert files == as_mtools(path, tmp_path / "by mtools")


def test_a_full_file_system_is_read_to_its_last_cluster(tmp_path: Path) -> None:
    path = make(tmp_path / "volume", 12, 1440)
    shown = sh("mdir", "-i", path).decode().split("\n\n")[-2]  # "     1 457 664 bytes free"
    free = int("".join(filter(str.isdigit, shown)))
    put(path, "all", b"x" * free)
    assert Disk(path.read_bytes()).files() == {"all": b"x" * free}
