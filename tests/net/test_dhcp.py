"""DHCP as bytes: the question is whole and right, the answer is believed only where it is exactly one."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrible.net.dhcp import Offer, discover, offer

CLIENT = bytes.fromhex("02aabbccddee")
OFFER = Offer("10.42.0.1", "10.42.0.77", 0x01020304, "ee:5f:92:79:14:01")


def answer(
    options: bytes = bytes.fromhex("350102 3604 0a2a0001 ff"),
    *,
    op: int = 2,
    cookie: bytes = b"\x63\x82\x53\x63",
    name: bytes = b"",
    file: bytes = b"",
) -> bytes:
    """A BOOTP message to our client, put together from RFC 2131, figure 1, field by field."""
    head = bytes([op, 1, 6, 0]) + struct.pack("!IHH", OFFER.xid, 0, 0x8000)
    addresses = bytes(4) + bytes([10, 42, 0, 77]) + bytes(8)
    return (
        head
        + addresses
        + CLIENT.ljust(16, b"\0")
        + name.ljust(64, b"\0")
        + file.ljust(128, b"\0")
        + cookie
        + options
    )


def frame(
    message: bytes, *, ethertype: int = 0x0800, version: int = 4, words: int = 0, fragment: int = 0,
    protocol: int = 17, ports: tuple[int, int] = (67, 68), padding: int = 0,
) -> bytes:  # fmt: skip
    """That message on the wire, from 10.42.0.9; `words` of IPv4 options."""
    udp = struct.pack("!HHHH", *ports, 8 + len(message), 0) + message
    total = 20 + 4 * words + len(udp)
    ip = struct.pack("!BBHHHBBH", version << 4 | 5 + words, 0, total, 0, fragment, 64, protocol, 0)
    ip += bytes([10, 42, 0, 9]) + b"\xff" * 4 + b"\x01" * 4 * words
    ethernet = b"\xff" * 6 + bytes.fromhex(OFFER.source.replace(":", "")) + struct.pack("!H", ethertype)
    return ethernet + ip + udp + bytes(padding)


WHOLE = frame(answer())


def test_an_offer_says_who_offers_what() -> None:
    assert offer(WHOLE) == OFFER


def test_ethernets_padding_and_options_of_ip_change_nothing() -> None:
    assert offer(frame(answer(), padding=18)) == OFFER
    assert offer(frame(answer(), words=10)) == OFFER


def test_a_server_that_does_not_name_itself_is_known_by_its_address() -> None:
    assert offer(frame(answer(bytes.fromhex("350102ff")))) == replace(OFFER, server="10.42.0.9")
    assert offer(frame(answer(bytes.fromhex("350102 3603 0a2a00 ff")))) == replace(OFFER, server="10.42.0.9")


def test_of_options_alike_the_first_counts_and_none_behind_the_end() -> None:
    assert (
        offer(frame(answer(bytes.fromhex("0000 350102 00 3604 0a2a0001 350105 3604 01010101 ff")))) == OFFER
    )
    late = answer(bytes.fromhex("350102 ff00 3604 0a2a0001"))
    assert offer(frame(late)) == replace(OFFER, server="10.42.0.9")


def test_options_may_go_on_where_names_would_be() -> None:
    server = bytes.fromhex("3604 0a2a0001 ff")
    assert offer(frame(answer(bytes.fromhex("350102 340101 ff"), file=server))) == OFFER
    assert offer(frame(answer(bytes.fromhex("350102 340102 ff"), name=server))) == OFFER
    both = answer(bytes.fromhex("340103 ff"), file=bytes.fromhex("350102ff"), name=server)
    assert offer(frame(both)) == OFFER
    other = bytes.fromhex("3604 01010101 ff")
    assert offer(frame(answer(bytes.fromhex("350102 340103 ff"), file=server, name=other))) == OFFER
    nameless = replace(OFFER, server="10.42.0.9")
    assert offer(frame(answer(bytes.fromhex("350102 ff"), file=server))) == nameless
    assert offer(frame(answer(bytes.fromhex("350102 340101 ff"), name=server))) == nameless


@pytest.mark.parametrize(
    "other",
    [
        frame(answer(op=1)),
        frame(answer(bytes.fromhex("350105 3604 0a2a0001 ff"))),  # an acknowledgement
        frame(answer(bytes.fromhex("35020202 ff"))),
        frame(answer(bytes.fromhex("350502"))),  # cut off
        frame(answer(bytes.fromhex("3604 0a2a0001 ff"))),  # BOOTP without a type
        frame(answer(bytes.fromhex("ff 350102"))),
        frame(answer(cookie=bytes(4))),
        frame(answer(), ports=(68, 67)),
        frame(answer(), ports=(67, 67)),
        frame(answer(), fragment=0x2000),
        frame(answer(), fragment=1),
        frame(answer(), protocol=6),
        frame(answer(), version=6),
        frame(answer(), ethertype=0x86DD),
        discover(1, CLIENT),
        b"",
    ],
)
def test_all_else_is_no_offer(other: bytes) -> None:
    assert offer(other) is None


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


TOTAL, UDP_SIZE = len(WHOLE) - 14, len(WHOLE) - 34


@pytest.mark.parametrize(
    "lie",
    [
        patched(WHOLE, 16, struct.pack("!H", TOTAL + 1)),
        patched(WHOLE, 16, struct.pack("!H", TOTAL - 1)),
        patched(WHOLE, 16, struct.pack("!H", 23)),
        patched(WHOLE, 16, struct.pack("!H", 0)),
        patched(WHOLE, 38, struct.pack("!H", UDP_SIZE + 1)),
        patched(WHOLE, 38, struct.pack("!H", 7)),
        patched(WHOLE + bytes(4), 38, struct.pack("!H", UDP_SIZE + 4)),
        patched(WHOLE, 14, b"\x4f"),
        patched(WHOLE[:30] + WHOLE[34:], 14, b"\x44\x00" + struct.pack("!H", TOTAL - 4)),  # no target address
    ],
)
def test_lengths_that_lie_make_no_offer(lie: bytes) -> None:
    assert offer(lie) is None


def test_what_is_cut_off_anywhere_is_no_offer() -> None:
    for length in range(len(WHOLE)):
        assert offer(WHOLE[:length]) is None


@given(st.binary(max_size=700))
def test_a_strangers_bytes_do_no_harm(data: bytes) -> None:
    assert offer(data) is None or isinstance(offer(data), Offer)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8))
def test_an_offer_with_bytes_changed_does_no_harm(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    assert offer(bytes(data)) is None or isinstance(offer(bytes(data)), Offer)


@given(st.binary(max_size=400), st.binary(max_size=64), st.binary(max_size=128))
def test_options_of_a_stranger_do_no_harm(options: bytes, name: bytes, file: bytes) -> None:
    lengths_that_lie = frame(answer(b"\x34\x01\x03" + options, name=name, file=file))
    assert offer(lengths_that_lie) is None or isinstance(offer(lengths_that_lie), Offer)


@given(st.integers(0, 2**32 - 1), st.binary(min_size=6, max_size=6))
def test_the_question_is_whole(xid: int, mac: bytes) -> None:
    question = discover(xid, mac)
    packet = question[14:]
    assert question[:14] == b"\xff" * 6 + mac + b"\x08\x00"
    assert (packet[0], packet[9]) == (0x45, 17)
    assert int.from_bytes(packet[2:4]) == len(packet)
    assert packet[12:20] == bytes(4) + b"\xff" * 4
    assert struct.unpack("!HHH", packet[20:26]) == (68, 67, len(packet) - 20)
    assert total(packet[:20]) == 0xFFFF
    assert total(packet[12:20] + struct.pack("!HH", 17, len(packet) - 20) + packet[20:]) == 0xFFFF
    message = packet[28:]
    assert len(message) >= 300
    assert message[:4] == bytes([1, 1, 6, 0])
    assert message[4:12] == struct.pack("!IHH", xid, 0, 0x8000)
    assert message[28:44] == mac.ljust(16, b"\0")
    assert message[236:243] == bytes.fromhex("63825363 350101")


def test_a_checksum_is_never_nothing() -> None:
    missing = int.from_bytes(discover(0, CLIENT)[40:42])
    assert discover(missing, CLIENT)[40:42] == b"\xff\xff", "0 would say that there is none (RFC 768)"


def total(data: bytes) -> int:
    """The ones' complement sum: all ones over what carries its own checksum (RFC 1071)."""
    found: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while found > 0xFFFF:
        found = (found & 0xFFFF) + (found >> 16)
    return found


def test_a_mac_has_six_bytes() -> None:
    with pytest.raises(ValueError, match="6 bytes"):
        discover(1, bytes(5))
