"""What of the rig is bytes in and bytes out, without a machine."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from terrible.sim.families import FAMILIES, GADGET

from . import descriptors, rndis, trace, usbredir
from .packages import parse_depends
from .tinyhost import TinyHost, checksum

HOST, DEVICE = bytes.fromhex("020000000001"), bytes.fromhex("020000000101")


def test_trace_lines() -> None:
    assert trace.power_change("usb_hub_clear_port_feature dev 1, port 2, feature power\n") == (2, False)
    assert trace.power_change("99@1.5:usb_hub_set_port_feature dev 1, port 4, feature power") == (4, True)
    assert trace.power_change("usb_hub_set_port_feature dev 1, port 4, feature reset") is None


def test_first_choice_of_alternatives_and_no_virtual_packages() -> None:
    listing = (
        "udev\n  PreDepends: libc6\n |Depends: <default-x>\n    x1\n |Depends: first\n"
        "  Depends: second\n  Depends: <y>\n    y1\nfirst:any\n"
    )
    assert parse_depends(listing) == {"udev": ["libc6", "first"], "first": []}


def test_usbredir_parser_takes_any_cut() -> None:
    stream = (
        usbredir.hello() + usbredir.pack(usbredir.Kind.BULK, 7, b"body") + usbredir.pack(usbredir.Kind.RESET)
    )
    for size in (1, 5, 4096):
        parser = usbredir.Parser()
        packets = [
            p for start in range(0, len(stream), size) for p in parser.feed(stream[start : start + size])
        ]
        assert [(p.kind, p.id) for p in packets] == [(0, 0), (101, 7), (3, 0)]
        assert packets[1].body == b"body"


def test_bulk_lengths_above_64_kib() -> None:
    bulk = usbredir.Bulk.parse(struct.pack("<BBHIH", 1, 99, 0x2345, 0, 1) + b"data")
    assert (bulk.endpoint, bulk.length, bulk.data) == (1, 0x12345, b"data")
    assert bulk.answer(usbredir.Status.SUCCESS, taken=0x12345) == struct.pack("<BBHIH", 1, 0, 0x2345, 0, 1)


def test_endpoint_table() -> None:
    shown = descriptors.present(FAMILIES["2763"].rom)
    table = usbredir.ep_info(shown.endpoints)
    assert len(table) == 160
    kinds = {place: kind for place, kind in enumerate(table[:32]) if kind != usbredir.Transfer.ABSENT}
    assert kinds == {0: 0, 1: 2, 16: 0, 18: 2}  # control both ways, bulk OUT 1, bulk IN 0x82
    assert len(usbredir.interface_info(shown.interfaces)) == 132


def test_descriptors_state_their_own_length() -> None:
    for source in (GADGET, *(d for f in FAMILIES.values() for d in (f.rom, f.loader))):
        shown = descriptors.present(source)
        assert len(shown.device) == 18
        assert struct.unpack_from("<H", shown.configuration, 2) == (len(shown.configuration),)
        assert 0 not in walk(shown.configuration)
        assert shown.descriptor(6, 0) is None


def test_strings_of_the_two_stages_of_a_zero() -> None:
    rom, loader = (descriptors.present(d) for d in (FAMILIES["2763"].rom, FAMILIES["2763"].loader))
    assert rom.device[16] == 0
    assert text(rom, 2) == "BCM2708 Boot"
    assert (text(loader, 2), text(loader, loader.device[16])) == ("BCM2710 Boot", "Broadcom")


def test_rndis_answers_what_linux_asks_at_bind() -> None:
    device = rndis.Rndis(HOST)
    device.command(struct.pack("<6I", 2, 24, 5, 1, 0, 0x4000))
    assert struct.unpack_from("<6I", device.response()) == (0x80000002, 52, 5, 0, 1, 0)
    device.command(struct.pack("<7I", 4, 28, 6, 0x01010101, 0, 0, 0))
    assert device.response() == struct.pack("<6I", 0x80000004, 30, 6, 0, 6, 16) + HOST
    assert device.response() == b"\0"


def test_frames_survive_their_wrapping() -> None:
    assert list(rndis.unwrap(rndis.wrap(b"one") + rndis.wrap(b"second") + b"\0")) == [b"one", b"second"]


def test_tiny_host_answers_arp_and_echo_for_itself_only() -> None:
    host = TinyHost(DEVICE, IPv4Address("10.1.1.2"))
    me, other, it = b"\x0a\1\1\1", b"\x0a\1\1\3", b"\x0a\1\1\2"
    arp = struct.pack(">HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, HOST, me, bytes(6), it)
    answer = host.receive(b"\xff" * 6 + HOST + b"\x08\x06" + arp)
    assert answer
    assert answer[:14] == HOST + DEVICE + b"\x08\x06"
    assert answer[14 + 8 : 14 + 18] == DEVICE + it
    assert host.receive(b"\xff" * 6 + HOST + b"\x08\x06" + arp.replace(it, other)) is None
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + 9, 1, 0, 64, 1, 0, me, it)
    pong = host.receive(DEVICE + HOST + b"\x08\x00" + ip + b"\x08\0\0\0\0\1\0\1x" + b"padding")
    assert pong
    assert checksum(pong[14:34]) == checksum(pong[34:]) == 0
    assert pong[34] == 0
    assert pong[38:] == b"\0\1\0\1x"


def walk(configuration: bytes) -> list[int]:
    """The types of a configuration's descriptors; fails where a length does not lead to the next."""
    found, place = [], 0
    while place < len(configuration):
        found.append(configuration[place + 1])
        place += configuration[place]
    assert place == len(configuration)
    return found


def text(shown: descriptors.Presented, index: int) -> str:
    answer = shown.descriptor(3, index)
    assert answer
    return answer[2:].decode("utf-16-le")
