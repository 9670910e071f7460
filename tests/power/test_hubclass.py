"""Hub class requests and answers against the specification's tables and real hubs' bytes."""

from __future__ import annotations

import random
from dataclasses import astuple

import pytest

from terrible.power.hubclass import (
    BadAnswer,
    HubDescriptor,
    OverCurrent,
    Switching,
    get_hub_descriptor,
    get_port_status,
    hub_descriptor,
    port_status,
    set_port_power,
)


def test_requests_are_those_of_the_specification() -> None:
    assert astuple(get_hub_descriptor(superspeed=False)) == (0xA0, 6, 0x2900, 0, 15)
    assert astuple(get_hub_descriptor(superspeed=True)) == (0xA0, 6, 0x2A00, 0, 12)
    assert astuple(get_port_status(3)) == (0xA3, 0, 0, 3, 4)
    assert astuple(set_port_power(3, on=True)) == (0x23, 3, 8, 3, 0)
    assert astuple(set_port_power(3, on=False)) == (0x23, 1, 8, 3, 0)


def descriptor(ports: int, characteristics: int, size: int = 9, kind: int = 0x29) -> bytes:
    head = bytes((size, kind, ports)) + characteristics.to_bytes(2, "little") + b"\x32\x64"
    return head.ljust(size, b"\xff")


@pytest.mark.parametrize(
    ("ports", "characteristics", "switching", "over_current"),
    [
        (4, 0x00, Switching.GANGED, OverCurrent.GLOBAL),
        (4, 0x01, Switching.PER_PORT, OverCurrent.GLOBAL),
        (4, 0x02, Switching.NONE, OverCurrent.GLOBAL),
        (4, 0x03, Switching.NONE, OverCurrent.GLOBAL),
        (4, 0x09, Switching.PER_PORT, OverCurrent.PER_PORT),
        (4, 0x11, Switching.PER_PORT, OverCurrent.NONE),
        (4, 0x1A, Switching.NONE, OverCurrent.NONE),
        (4, 0xE0, Switching.GANGED, OverCurrent.GLOBAL),  # TT think time and indicators
        (1, 0x00, Switching.PER_PORT, OverCurrent.GLOBAL),
        (1, 0x02, Switching.NONE, OverCurrent.GLOBAL),
    ],
)
def test_switching_and_over_current(
    ports: int, characteristics: int, switching: Switching, over_current: OverCurrent
) -> None:
    expected = HubDescriptor(ports, switching, over_current)
    assert hub_descriptor(descriptor(ports, characteristics), superspeed=False) == expected
    superspeed = descriptor(ports, characteristics, size=12, kind=0x2A)
    assert hub_descriptor(superspeed, superspeed=True) == expected


def test_the_hub_of_the_rig() -> None:
    """QEMU's usb-hub with port-power=on (hw/usb/dev-hub.c)."""
    data = bytes.fromhex("0a2904 0900 01 00 00 ff".replace(" ", ""))
    assert hub_descriptor(data, superspeed=False).switching is Switching.PER_PORT


@pytest.mark.parametrize("ports", [7, 8, 15, 16, 31])
def test_a_mask_for_every_port(ports: int) -> None:
    whole = descriptor(ports, 1, size=7 + ports // 8 + 1 + (ports < 8))
    assert hub_descriptor(whole, superspeed=False).ports == ports
    with pytest.raises(BadAnswer):
        hub_descriptor(whole[: 7 + ports // 8], superspeed=False)


@pytest.mark.parametrize(
    ("data", "superspeed"),
    [
        (b"", False),
        (descriptor(4, 1)[:8], False),
        (descriptor(0, 1), False),
        (descriptor(32, 1, size=15), False),
        (descriptor(4, 1, kind=0x2A), False),
        (b"\xff" * 15, False),
        (bytes(15), False),
        (descriptor(4, 1), True),
        (descriptor(4, 1, size=12), True),
        (descriptor(16, 1, size=12, kind=0x2A), True),
        (descriptor(0, 1, size=12, kind=0x2A), True),
        (descriptor(4, 1, size=11, kind=0x2A), True),
    ],
)
def test_garbage_descriptors(data: bytes, superspeed: bool) -> None:
    with pytest.raises(BadAnswer):
        hub_descriptor(data, superspeed)


@pytest.mark.parametrize(
    ("bits", "connected", "enabled", "over_current", "powered", "speed"),
    [
        (0x0000, False, False, False, False, None),
        (0x0100, False, False, False, True, None),
        (0x0101, True, False, False, True, 12.0),
        (0x0103, True, True, False, True, 12.0),
        (0x0303, True, True, False, True, 1.5),
        (0x0503, True, True, False, True, 480.0),
        (0x0108, False, False, True, True, None),
        (0x0001, True, False, False, False, 12.0),
        (0x0700, False, False, False, True, None),
    ],
)
def test_port_status(
    bits: int, connected: bool, enabled: bool, over_current: bool, powered: bool, speed: float | None
) -> None:
    status = port_status(bits.to_bytes(2, "little") + b"\x10\x00", superspeed=False)
    assert astuple(status) == (connected, enabled, over_current, powered, speed)


@pytest.mark.parametrize(
    ("bits", "connected", "powered", "speed"),
    [(0x0203, True, True, 5000.0), (0x02A0, False, True, None), (0x0100, False, False, None)],
)
def test_superspeed_port_status(bits: int, connected: bool, powered: bool, speed: float | None) -> None:
    status = port_status(bits.to_bytes(2, "little") + b"\0\0", superspeed=True)
    assert (status.connected, status.powered, status.speed) == (connected, powered, speed)


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x03\x01\0", b"\x03\x01\0\0\0", b"\x03\x07\0\0"])
def test_garbage_port_status(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        port_status(data, superspeed=False)


def test_only_bad_answer_comes_out_of_random_bytes() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        data = chance.randbytes(chance.randrange(16))
        for superspeed in (False, True):
            for parse in (hub_descriptor, port_status):
                try:
                    parse(data, superspeed)
                except BadAnswer as error:
                    assert str(error).isprintable()
