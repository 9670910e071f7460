"""A partition table tells how long an image must be."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from terrible.storage.partitioned import reach

from .contents import sector0


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
