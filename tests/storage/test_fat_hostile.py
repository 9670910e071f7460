"""What cannot be a FAT file system is refused in words, and soon, whatever is wrong with it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import strategies as st

from terrible.storage.images import fat
from terrible.storage.images.partitions import BadImage
from tests.chaos.fuzz import fuzz
from tests.storage.fatdisk import Disk, make, put
from tests.storage.images import sh


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A FAT12 of clusters of 512 bytes: a file at cluster 2, a folder at 22 with a file in it."""
    path = make(tmp_path_factory.mktemp("small") / "volume", 12, 160, "-s", "1", "-f", "1", "-r", "64")
    put(path, "file.bin", b"f" * 10_000)
    sh("mmd", "-i", path, "::/folder")
    put(path, "folder/inner.bin", b"i" * 700)
    return path.read_bytes()


FAT, ROOT, DATA = 512, 1024, 1024 + 2048
"""Where things lie in it: one sector before the table, one of table, 64 entries, then the clusters."""


def link(disk: Disk, cluster: int, to: int) -> None:
    """Let one cluster follow another."""
    at = FAT + cluster * 12 // 8
    old = int.from_bytes(disk.content[at : at + 2], "little")
    new = old & 0x000F | to << 4 if cluster % 2 else old & 0xF000 | to
    disk.content[at : at + 2] = new.to_bytes(2, "little")


def entry(disk: Disk, name: bytes, area: int = ROOT) -> int:
    """Where the entry of a short name is."""
    return disk.content.index(name, area)


def test_the_small_one_is_as_described(small: bytes) -> None:
    disk = Disk(small)
    assert disk.files() == {"file.bin": b"f" * 10_000, "folder/inner.bin": b"i" * 700}
    clusters = [
        struct.unpack_from("<H", small, entry(disk, name) + 26)[0] for name in (b"FILE    BIN", b"FOLDER  ")
    ]
    assert clusters == [2, 22]
    assert small[DATA : DATA + 3] == b"fff"


def refusal(disk: Disk) -> str:
    """What the reader says against it; it must not have read for ever."""
    with pytest.raises(BadImage) as refused:
        disk.files()
    assert disk.read_bytes < 50 * len(disk.content)
    return str(refused.value)


def test_a_file_that_runs_in_a_circle_ends_with_its_size(small: bytes) -> None:
    disk = Disk(small)
    link(disk, 21, 2)
    assert len(disk.files()["file.bin"]) == 10_000


def test_a_folder_that_runs_in_a_circle(small: bytes) -> None:
    disk = Disk(small)
    link(disk, 22, 22)
    disk.content[DATA + 20 * 512 : DATA + 21 * 512] = b"\xe5" * 512
    assert "circle" in refusal(disk) or "one leads into another" in refusal(disk)


def test_a_folder_larger_than_any_can_be(tmp_path: Path) -> None:
    """FAT32 has room for more than the 65536 entries of a directory that the specification allows."""
    path = make(tmp_path / "volume", 32, 40_000, "-s", "1", "-f", "1")
    disk = Disk(path.read_bytes())
    fat, clusters = 32 * 512, 2 * 1024 * 1024 // 512 + 1
    for cluster in range(2, 2 + clusters):
        struct.pack_into("<I", disk.content, fat + cluster * 4, cluster + 1)
    data = fat + struct.unpack_from("<I", disk.content, 36)[0] * 512
    disk.content[data : data + clusters * 512] = (b"\xe5" + bytes(31)) * (clusters * 16)
    assert "too large" in refusal(disk)


def test_a_long_name_of_another_file_is_not_this_ones(small: bytes, tmp_path: Path) -> None:
    """What knows no long names renames the short one and leaves the pieces of the long one before it."""
    (tmp_path / "volume").write_bytes(small)
    put(tmp_path / "volume", "a rather long name.txt", b"x")
    disk = Disk((tmp_path / "volume").read_bytes())
    at = entry(disk, b"ARATHE~1TXT")
    disk.content[at : at + 11] = b"RENAMED TXT"
    assert "RENAMED.TXT" in disk.files()
    assert "a rather long name.txt" not in disk.files()


def test_a_folder_that_contains_itself(small: bytes) -> None:
    disk = Disk(small)
    at = entry(disk, b"INNER   BIN", DATA)
    disk.content[at + 11] = 0x10
    struct.pack_into("<H", disk.content, at + 26, 22)
    assert "deep" in refusal(disk)


def test_a_chain_that_is_shorter_than_its_file(small: bytes) -> None:
    disk = Disk(small)
    link(disk, 10, 0xFFF)
    assert "ends 11 clusters before" in refusal(disk)


@pytest.mark.parametrize("cluster", [0, 1, 0xFF0, 0xFF7])
def test_a_chain_that_leads_nowhere(small: bytes, cluster: int) -> None:
    disk = Disk(small)
    link(disk, 10, cluster)
    assert f"leads to cluster {cluster}" in refusal(disk)


def test_a_file_larger_than_the_file_system(small: bytes) -> None:
    disk = Disk(small)
    struct.pack_into("<I", disk.content, entry(disk, b"FILE    BIN") + 28, 0xFFFFFFFF)
    assert "larger than the file system" in refusal(disk)


@pytest.mark.parametrize("name", [b"../ETC  BIN", b"A/B     BIN", b"A\0      BIN", b"\x1b[2J    BIN"])
def test_a_name_that_leads_out_or_moves_a_cursor(small: bytes, name: bytes) -> None:
    disk = Disk(small)
    at = entry(disk, b"FILE    BIN")
    disk.content[at : at + 11] = name
    said = refusal(disk)
    assert "with the name" in said
    assert said.isprintable()


def test_two_files_of_one_name(small: bytes) -> None:
    disk = Disk(small)
    at = entry(disk, b"FOLDER  ")
    disk.content[at : at + 12] = disk.content[entry(disk, b"FILE    BIN") :][:12]
    assert "two files with the name" in refusal(disk)


@pytest.mark.parametrize(
    ("at", "value"),
    [(11, b"\0\1"), (11, b"\0\0"), (13, b"\3"), (13, b"\0"), (14, b"\0\0"), (16, b"\0"), (19, b"\xff\xff"),
     (22, b"\xff\xff"), (510, b"\0\0")],
)  # fmt: skip
def test_a_first_sector_that_contradicts_itself(small: bytes, at: int, value: bytes) -> None:
    disk = Disk(small)
    disk.content[at : at + len(value)] = value
    assert "FAT file system" in refusal(disk)


CHANGES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 95), st.integers(FAT, FAT + 511), st.integers(ROOT, ROOT + 255),
                  st.integers(DATA + 20 * 512, DATA + 20 * 512 + 255)),
        st.binary(min_size=1, max_size=8),
    ),
    max_size=12,
)  # fmt: skip


def test_whatever_is_changed_in_one_it_is_read_or_refused_and_soon(small: bytes) -> None:
    @fuzz("fat", CHANGES)
    def any_change(changes: list[tuple[int, bytes]]) -> None:
        disk = Disk(small)
        for at, value in changes:
            disk.content[at : at + len(value)] = value
        try:
            files = disk.files()
        except BadImage as error:
            assert str(error).isprintable()
        else:
            assert sum(map(len, files.values())) <= len(small)
            assert all(part not in ("", ".", "..") for path in files for part in path.split("/"))
        assert disk.read_bytes < 50 * len(small)

    any_change()


def test_a_tree_of_names_longer_than_any_memory(small: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path holds all names above it: 65,000 files below 30 long ones took 500 MB."""
    disk = Disk(small)
    monkeypatch.setattr(fat, "_MOST_TEXT", len("file.bin" + "folder" + "folder/inner.bin"))
    assert len(disk.files()) == 2
    monkeypatch.setattr(fat, "_MOST_TEXT", len("file.bin" + "folder" + "folder/inner.bin") - 1)
    assert "the names of its FAT files" in refusal(disk)
