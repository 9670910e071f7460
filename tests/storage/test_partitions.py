"""The partition table of an image is understood, or refused in words."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrible.storage.images.partitions import BadImage, Partition, reach, read_table
from tests.chaos.fuzz import fuzz

from .contents import sector0


def table(*entries: tuple[int, int, int], status: int = 0, disk_id: int = 0x8A3B5C7D) -> bytes:
    """A first sector with entries of (type, first sector, sectors)."""
    packed = b"".join(struct.pack("<B3xB3xII", status, *entry) for entry in entries)
    return bytes(440) + struct.pack("<IH", disk_id, 0) + packed.ljust(64, b"\0") + b"\x55\xaa"


def test_the_layout_of_raspberry_pi_os() -> None:
    found = read_table(table((0x0C, 16384, 1048576), (0x83, 1064960, 4000000)))
    assert found.disk_id == "8a3b5c7d"
    assert found.boot == Partition(1, 0x0C, 8 << 20, 512 << 20)
    assert found.root == Partition(2, 0x83, 520 << 20, 4000000 * 512)
    assert [partition.label for partition in found.partitions] == ["FAT32", "Linux"]
    assert found.end == (520 << 20) + 4000000 * 512


def test_the_boot_partition_is_the_first_fat_one_wherever_it_stands() -> None:
    found = read_table(table((0x83, 8192, 100), (0, 0, 0), (0x0E, 20000, 100)))
    assert (found.boot.number, found.root and found.root.number) == (3, 1)


@pytest.mark.parametrize(
    ("sector", "said"),
    [
        (b"\xeb" * 100, "ends after 100 bytes"),
        (bytes(512), "no partition table"),
        (table(), "is empty"),
        (table((0xEE, 1, 0xFFFFFFFF)), "GPT"),
        (table((0x0C, 8192, 100), status=0x33), "without partitions"),
        (table((0x0C, 8192, 8192), (0x83, 16383, 100)), "partition 2 begins inside partition 1"),
        (table((0x0C, 0, 8192)), "partition 1 begins inside the partition table"),
    ],
)
def test_what_is_no_table_of_a_card_is_refused_in_words(sector: bytes, said: str) -> None:
    with pytest.raises(BadImage, match=said):
        read_table(sector)


def test_an_image_without_a_fat_partition_boots_nothing() -> None:
    with pytest.raises(BadImage, match="no FAT partition"):
        _ = read_table(table((0x83, 8192, 100))).boot


_ENTRIES = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=4
)


@fuzz("partition table", st.binary(max_size=600) | _ENTRIES.map(lambda entries: table(*entries)))
def test_no_first_sector_raises_anything_else(sector: bytes) -> None:
    try:
        found = read_table(sector)
    except BadImage as error:
        assert str(error).isprintable()
    else:
        assert all(512 <= partition.start < partition.end <= found.end for partition in found.partitions)


# -- how far it reaches -------------------------------------------------------------------------------


@given(st.integers(17, 2**32 - 1))
def test_the_last_partition_s_end(sectors: int) -> None:
    assert reach(sector0(sectors * 512) + bytes(512)) == sectors * 512


def test_a_gpt_s_last_sector() -> None:
    protective = bytearray(sector0(2**32 * 512 - 512))
    protective[450] = 0xEE
    header = b"EFI PART" + bytes(24) + struct.pack("<Q", 999) + bytes(472)
    assert reach(bytes(protective) + header) == 1000 * 512
    assert reach(bytes(protective) + bytes(512)) == 0


@given(st.binary(max_size=2000))
def test_anything_else_tells_nothing_and_hurts_nobody(start: bytes) -> None:
    assert reach(start) >= 0
    if start[510:512] != b"\x55\xaa":
        assert reach(start) == 0
