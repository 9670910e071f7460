"""What the kernel tells, read without ever trusting its length fields."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from terrible.net.rtnetlink import Changed, Seen, parse

MAC = bytes.fromhex("020000000003")


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def neighbour(family: int = 7, state: int = 0x02, port: int = 5) -> bytes:
    attribute = struct.pack("=HH", 10, 2) + MAC + b"\0\0"
    return struct.pack("=BxxxiHBB", family, port, state, 0, 0) + attribute


def test_a_mac_on_a_bridge_port() -> None:
    assert list(parse(message(28, neighbour()))) == [Seen(5, "02:00:00:00:00:03")]


def test_the_bridge_s_own_addresses_and_neighbours_of_ip_are_passed_over() -> None:
    assert list(parse(message(28, neighbour(state=0x80)))) == []
    assert list(parse(message(28, neighbour(family=2)))) == []


def test_what_is_forgotten_was_not_seen() -> None:
    assert list(parse(message(29, neighbour()))) == []


def test_several_in_one_go_and_links_among_them() -> None:
    data = message(16, b"\0" * 16) + message(28, neighbour(port=6)) + message(24, b"\0" * 12)
    assert list(parse(data)) == [Changed(), Seen(6, "02:00:00:00:00:03"), Changed()]


@given(st.binary(max_size=300))
def test_anything_can_be_read(data: bytes) -> None:
    list(parse(data))
    list(parse(message(28, data)))
