"""The rpiboot wire format: every kind of request, and no bytes of a node do any harm."""

from __future__ import annotations

import os
import struct
from functools import reduce

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from terrible.usb import rpiboot
from terrible.usb.rpiboot import BadRequest, Kind, Request

EXAMPLES = 20_000 if os.environ.get("LONG") == "1" else 200
NAME_SIZE = 256
LONGEST_MESSAGE = 400
"""Characters: 80 bytes of a node, each as `\\xNN`, and what we say about them."""


def asked(command: int, name: bytes) -> bytes:
    """A request as the second stage sends it, its name field filled with zeros."""
    return struct.pack("<i256s", command, name)


# -- what the host sends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "value", "index"),
    [
        (0, 0, 0),
        (24, 24, 0),
        (52_624, 52_624, 0),
        (0xFFFF, 0xFFFF, 0),
        (0x1_0000, 0, 1),
        (0x1_0001, 1, 1),
        (2_980_000, 0x78A0, 0x2D),
        (60_000_000, 0x8700, 0x393),
    ],
)
def test_a_length_is_announced_in_value_and_index(length: int, value: int, index: int) -> None:
    assert rpiboot.announcement(length) == (value, index)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_length_fits_the_two_16_bit_fields(length: int) -> None:
    value, index = rpiboot.announcement(length)
    assert 0 <= value <= 0xFFFF
    assert 0 <= index <= 0xFFFF
    assert index << 16 | value == length


def test_an_unsigned_header_is_a_length_and_20_zeros() -> None:
    assert rpiboot.boot_header(52_624) == b"\x90\xcd\x00\x00" + bytes(20)


def test_a_signed_header_carries_the_signature_as_it_is() -> None:
    signature = bytes(range(1, 21))
    assert rpiboot.boot_header(0x1234567, signature) == b"\x67\x45\x23\x01" + signature


def test_a_short_signature_is_filled_with_zeros() -> None:
    assert rpiboot.boot_header(1, b"sig") == b"\x01\x00\x00\x00sig" + bytes(17)


@pytest.mark.parametrize("size", [21, 24, 256])
def test_a_signature_that_does_not_fit_is_an_error_and_not_cut(size: int) -> None:
    with pytest.raises(ValueError, match=f"at most 20 bytes, this one {size}"):
        rpiboot.boot_header(52_624, bytes(size))


# -- what the ROM answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result"),
    [(bytes(4), 0), (b"\1\0\0\0", 1), (b"\0\0\0\1", 1 << 24), (b"\xff" * 4, -1), (b"\0\0\0\0\7", 0)],
)
def test_the_rom_answers_a_little_endian_int32(answer: bytes, result: int) -> None:
    assert rpiboot.boot_result(answer) == result


@pytest.mark.parametrize("size", range(4))
def test_a_short_answer_of_the_rom_says_how_short(size: int) -> None:
    with pytest.raises(BadRequest, match=f"answered {size} bytes instead of 4"):
        rpiboot.boot_result(bytes(size))


# -- what the second stage asks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name", "request_"),
    [
        (0, b"config.txt", Request(Kind.SIZE, "config.txt")),
        (1, b"config.txt", Request(Kind.READ, "config.txt")),
        (0, b"overlays/dwc2.dtbo", Request(Kind.SIZE, "overlays/dwc2.dtbo")),
        (0, b"a name with spaces ~!", Request(Kind.SIZE, "a name with spaces ~!")),
        (0, b"../../etc/shadow", Request(Kind.SIZE, "../../etc/shadow")),
        (0, b"n" * 255, Request(Kind.SIZE, "n" * 255)),
        (0, b"cut here\0and not there", Request(Kind.SIZE, "cut here")),
        (2, b"config.txt", Request(Kind.DONE)),
        (2, b"*USER_SERIAL_NUM*1234", Request(Kind.DONE)),
        (2, b"\xff\x1b", Request(Kind.DONE)),
        (0, b"*MAC_ADDR*dc:a6:32:00:00:01", Request(Kind.METADATA, "*MAC_ADDR*dc:a6:32:00:00:01")),
        (1, b"*MAC_ADDR*dc:a6:32:00:00:01", Request(Kind.METADATA, "*MAC_ADDR*dc:a6:32:00:00:01")),
        (0, b"*EEPROM_UPDATE*", Request(Kind.METADATA, "*EEPROM_UPDATE*")),
        (0, b"*no second star", Request(Kind.SIZE, "*no second star")),
        (0, b"**no key", Request(Kind.SIZE, "**no key")),
        (0, b"in the*middle*", Request(Kind.SIZE, "in the*middle*")),
    ],
)
def test_requests(command: int, name: bytes, request_: Request) -> None:
    assert rpiboot.parse_request(asked(command, name)) == request_


@pytest.mark.parametrize("command", [0, 1, 2, 3, 77, -1, -(2**31), 2**31 - 1])
def test_an_empty_name_ends_it_whatever_the_command_says(command: int) -> None:
    assert rpiboot.parse_request(asked(command, b"")) == Request(Kind.EMPTY)
    assert rpiboot.parse_request(asked(command, b"\0leftovers")) == Request(Kind.EMPTY)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (asked(3, b"config.txt"), r"unknown command 3 for 'config\.txt'"),
        (asked(-1, b"config.txt"), r"unknown command -1 for 'config\.txt'"),
        (b"", r"0 bytes instead of 260: ''"),
        (bytes(4), r"4 bytes instead of 260: '\\x00\\x00\\x00\\x00'"),
        (asked(0, b"config.txt")[:-1], "259 bytes instead of 260"),
        (asked(0, b"A" * NAME_SIZE), "without its end: 'AAAA"),
        (asked(0, b"caf\xe9.txt"), r"not printable ASCII: 'caf\\xe9\.txt'"),
        (asked(0, "naïve".encode()), r"not printable ASCII: 'na\\xc3\\xafve'"),
        (asked(1, b"\x1b[2Jconfig.txt"), r"not printable ASCII: '\\x1b\[2Jconfig\.txt'"),
        (asked(0, b"two\nlines"), r"not printable ASCII: 'two\\x0alines'"),
        (asked(0, b"delete\x7f"), r"not printable ASCII: 'delete\\x7f'"),
        (asked(9, b"it's a \\"), r"unknown command 9 for 'it\\x27s a \\x5c'"),
    ],
)
def test_what_no_second_stage_sends(data: bytes, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        rpiboot.parse_request(data)


def is_safe_to_log(text: str) -> bool:
    """Nothing that moves a cursor or starts a line; the ellipsis of what was cut is ours."""
    return text.replace("…", "").isascii() and text.isprintable() and len(text) <= LONGEST_MESSAGE


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=300) | st.binary(min_size=260, max_size=260))
@example(asked(0, b"\xff" * 255))
@example(asked(77, b"~" * 255))
@example(b"\x1b" * 259)
def test_any_bytes_are_a_request_or_a_complaint_that_is_safe_to_log(data: bytes) -> None:
    try:
        request = rpiboot.parse_request(data)
    except BadRequest as error:
        assert is_safe_to_log(str(error))
    else:
        assert len(data) >= rpiboot.REQUEST_SIZE
        assert request.name.isascii()
        assert request.name.isprintable() or not request.name
        assert (request.name == "") == (request.kind in (Kind.DONE, Kind.EMPTY))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from([-5, 0, 1, 2, 3]), st.binary(max_size=NAME_SIZE))
def test_any_name_is_taken_as_it_is_or_not_at_all(command: int, name: bytes) -> None:
    try:
        request = rpiboot.parse_request(asked(command, name))
    except BadRequest as error:
        assert is_safe_to_log(str(error))
    else:
        assert request.name.encode() in (name.partition(b"\0")[0], b"")


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_whatever_a_node_said_can_be_logged(said: bytes | str) -> None:
    text = rpiboot.escaped(said)
    assert is_safe_to_log(text)
    assert text[0] == "'"
    assert text.removesuffix("…")[-1] == "'"
    assert "'" not in text.removesuffix("…")[1:-1]


# -- metadata ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("*USER_SERIAL_NUM*ad7a37b2", ("USER_SERIAL_NUM", "ad7a37b2")),
        ("*EEPROM_UPDATE*", ("EEPROM_UPDATE", "")),
        ("*BOARD_ATTR*a*b*", ("BOARD_ATTR", "a*b*")),
        ("*FACTORY_UUID*19a619a5", ("FACTORY_UUID", "000001")),
        ("config.txt", None),
        ("*", None),
        ("**value", None),
        ("*KEY", None),
        ("", None),
    ],
)
def test_metadata_entries(name: str, entry: tuple[str, str] | None) -> None:
    assert rpiboot.metadata_entry(name) == entry


def encoded_duid(text: str) -> str:
    """C40 as the firmware packs it: three symbols to a half word, two of them to a word, low half first."""
    digits = [4 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(symbol) for symbol in text]
    halves = [
        reduce(lambda sum_, digit: sum_ * 40 + digit, digits[n : n + 3]) + 1 for n in range(0, len(text), 3)
    ]
    halves += [0] * (len(halves) % 2)
    return "_".join(f"{high << 16 | low:x}" for low, high in zip(halves[::2], halves[1::2], strict=True))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3), min_size=1, max_size=12)
)
def test_a_factory_uuid_is_unpacked(triples: list[str]) -> None:
    text = "".join(triples)
    assert rpiboot.decode_duid(encoded_duid(text)) == text


@pytest.mark.parametrize("text", ["", "xyz", "ffffffff", "1_", "-1", "1", "123456789abcdef0", "no_hex"])
def test_what_is_no_packed_uuid_stays_as_it_is(text: str) -> None:
    assert rpiboot.decode_duid(text) == text


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text("0123456789abcdefx_-+ ", max_size=240) | st.text(max_size=240))
def test_no_factory_uuid_raises(text: str) -> None:
    decoded = rpiboot.decode_duid(text)
    assert decoded == text or decoded == "" or decoded.isalnum()
