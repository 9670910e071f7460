"""Container ids against real hubs' bytes and garbage."""

from __future__ import annotations

import random
from dataclasses import astuple

import pytest

from terrible.power.container import container_id, get_bos, total_length
from terrible.power.hubclass import BadAnswer

from .fakehub import bos

VL805 = bytes.fromhex("5cf3ee30d5074925b001802d79434c30")
"""That of the hub in a Pi 4's USB controller."""


def test_the_request_is_that_of_the_specification() -> None:
    assert astuple(get_bos(42)) == (0x80, 6, 0x0F00, 0, 42)


def test_the_id_among_other_capabilities() -> None:
    assert total_length(bos(VL805)[:5]) == len(bos(VL805))
    assert container_id(bos(VL805)) == VL805


@pytest.mark.parametrize(
    "capabilities",
    [
        "",
        "07100206000000",  # link power management only
        "14100400" + "00" * 16,  # nothing but zeros names nobody
        "14100400" + "11" * 15,  # cut short
        "13100400" + "11" * 15,
        "14110400" + "11" * 16,  # no device capability
        "14100500" + "11" * 16,  # another capability of the same size
    ],
)
def test_a_hub_without_one(capabilities: str) -> None:
    assert container_id(bytes.fromhex("050f220001" + capabilities)) is None


@pytest.mark.parametrize("data", ["", "050f2a00", "05292a0001", "050f2a0001" + "020000", "050f2a0001000000"])
def test_garbage(data: str) -> None:
    with pytest.raises(BadAnswer):
        container_id(bytes.fromhex(data))


def test_only_bad_answer_comes_out_of_random_bytes() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        data = b"\5\x0f" + chance.randbytes(chance.randrange(40))
        try:
            found = container_id(data)
        except BadAnswer as error:
            assert str(error).isprintable()
        else:
            assert found is None or len(found) == 16
