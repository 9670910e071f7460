"""What a device is, told from its descriptors: every stage of every family, and what is no Pi at all."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible.model import Stage
from terrible.usb import identify
from terrible.usb.identify import BROADCOM, Descriptors, Interface

EXAMPLES = 20_000 if os.environ.get("LONG") == "1" else 200

BOOT = Interface(0, 0xFF, 0, 0, 0x01)
STORAGE = Interface(0, 0x08, 0x06, 0x50, 0x01)
BOOT_SECOND = Interface(1, 0xFF, 0, 0, 0x03)
RNDIS, RNDIS_MISC, RNDIS_MICROSOFT = (
    Interface(0, 0xE0, 0x01, 0x03),
    Interface(0, 0xEF, 0x04, 0x01),
    Interface(0, 0x02, 0x02, 0xFF),
)
ECM, NCM = Interface(0, 0x02, 0x06, 0x00), Interface(0, 0x02, 0x0D, 0x00)
DATA = Interface(1, 0x0A, 0x00, 0x00, 0x01)
SERIAL = Interface(0, 0xFF, 0xFF, 0xFF, 0x02)


def device(
    vendor: int, product: int, *interfaces: Interface, serial_index: int = 0, device_class: int = 0
) -> Descriptors:
    return Descriptors(vendor, product, 0x0100, device_class, serial_index, 480, interfaces)


# -- Pis that boot ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "serial_index", "stage", "chip"),
    [
        (0x2763, 0, Stage.ROM, "2710"),  # Zero, Zero W, A+, CM1
        (0x2763, 1, Stage.LOADER, "2710"),
        (0x2764, 0, Stage.ROM, "2710"),  # Zero 2 W, 3A+, CM3
        (
            0x2764,
            1,
            Stage.LOADER,
            "2710",
        ),  # also the second stage of a CM1 (issue 9) and a CM4 (cmprovision 20)
        (0x2764, 4, Stage.LOADER, "2710"),  # issue 36
        (0x2711, 3, Stage.ROM, "2711"),  # 4, 400, CM4 (PR 63)
        (0x2711, 0, Stage.ROM, "2711"),
        (0x2711, 1, Stage.LOADER, "2711"),
        (0x2711, 4, Stage.LOADER, "2711"),
        (0x2712, 3, Stage.ROM, "2712"),  # 5, 500, CM5
        (0x2712, 0, Stage.ROM, "2712"),
        (0x2712, 1, Stage.LOADER, "2712"),
    ],
)
def test_the_index_of_the_serial_string_tells_the_stage(
    product: int, serial_index: int, stage: Stage, chip: str
) -> None:
    pi = device(BROADCOM, product, BOOT, serial_index=serial_index)
    assert (identify.stage(pi), identify.chip(pi)) == (stage, chip)


def test_every_chip_has_its_own_bootcode() -> None:
    assert identify.BOOTCODE == {"2710": "bootcode.bin", "2711": "bootcode4.bin", "2712": "bootcode5.bin"}
    assert set(identify.CHIPS.values()) == set(identify.BOOTCODE)


@pytest.mark.parametrize(
    ("interfaces", "chosen"),
    [
        ((BOOT,), (0, 0x01)),
        ((STORAGE, BOOT_SECOND), (1, 0x03)),  # a BCM2837 offers its disk first
        ((STORAGE, BOOT_SECOND, DATA), (1, 0x03)),
        ((), (0, 0x01)),  # descriptors that say nothing: what usbboot would do
        ((Interface(0, 0xFF, 0, 0), Interface(1, 0xFF, 0, 0)), (1, 0x03)),
        ((Interface(0, 0xFF, 0, 0),), (0, 0x01)),
    ],
)
def test_boot_interface_and_endpoint(interfaces: tuple[Interface, ...], chosen: tuple[int, int]) -> None:
    assert identify.boot_interface(device(BROADCOM, 0x2764, *interfaces)) == chosen


# -- Pis that run ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gadget",
    [
        device(0x0525, 0xA4A2, RNDIS, DATA),
        device(0x0525, 0xA4A2, RNDIS_MICROSOFT, DATA),
        device(0x0525, 0xA4A1, ECM, DATA),
        device(0x0525, 0xA4A1, NCM, DATA),
        device(0x0525, 0xA4AA, ECM, DATA, SERIAL),
        device(0x1D6B, 0x0104, RNDIS_MISC, DATA),
        device(0x1D6B, 0x0104, SERIAL, ECM, DATA),
        device(0x1D6B, 0x0101, RNDIS, STORAGE),
        device(0x3171, 0x0014, NCM, DATA),
        device(0x2E8A, 0x0013, NCM, DATA),
    ],
    ids=str,
)
def test_network_gadgets(gadget: Descriptors) -> None:
    assert identify.stage(gadget) is Stage.GADGET


@pytest.mark.parametrize("ids", [(BROADCOM, 0x0001), (0x0525, 0xA4A5)])
def test_cards_offered_as_disks(ids: tuple[int, int]) -> None:
    assert identify.stage(device(*ids, STORAGE)) is Stage.DISK
    assert identify.stage(device(*ids, SERIAL)) is Stage.OTHER


@pytest.mark.parametrize(
    "stranger",
    [
        device(0x046D, 0xC31C, Interface(0, 0x03, 1, 1)),  # a keyboard
        device(0x04B4, 0x6570, Interface(0, 0x09, 0, 0), device_class=0x09),  # a hub
        device(0x1D6B, 0x0002, Interface(0, 0x09, 0, 0), device_class=0x09),  # a root hub
        device(0x0BDA, 0x8153, ECM, DATA),  # a USB Ethernet adapter, perhaps the head's own
        device(0x0B95, 0x772B, SERIAL),  # another
        device(0x0403, 0x6001, SERIAL),  # an FTDI serial adapter
        device(0x18D1, 0x4EE3, RNDIS, DATA),  # a phone that shares its network
        device(0x05AC, 0x12A8, NCM, DATA),  # another
        device(0x0781, 0x5581, STORAGE),  # a memory stick
        device(0x2E8A, 0x0003, STORAGE),  # a Pico that waits for its program
        device(0x1D6B, 0x0104, SERIAL),  # a gadget without a network
        device(0x1D6B, 0x0104, STORAGE),
        device(0x0525, 0xA4A2, STORAGE),
        device(BROADCOM, 0x21E8, Interface(0, 0xE0, 1, 1)),  # a Bluetooth adapter by the same vendor
        device(0x0000, 0x0000),
    ],
    ids=str,
)
def test_what_is_no_pi_is_left_alone(stranger: Descriptors) -> None:
    assert identify.stage(stranger) is Stage.OTHER


# -- anything ---------------------------------------------------------------------------------------

BYTE = st.integers(0, 255)
INTERFACES = st.builds(Interface, BYTE, BYTE, BYTE, BYTE, st.none() | BYTE)
VENDORS = st.sampled_from([BROADCOM, 0x0525, 0x1D6B, 0x3171, 0x2E8A]) | st.integers(0, 0xFFFF)
PRODUCTS = st.sampled_from([*identify.CHIPS, 0x0001, 0xA4A2, 0xA4A5, 0x0104]) | st.integers(0, 0xFFFF)
DEVICES = st.builds(
    Descriptors, VENDORS, PRODUCTS, BYTE, BYTE, BYTE, BYTE, st.lists(INTERFACES, max_size=6).map(tuple)
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(DEVICES)
def test_any_device_has_a_stage_and_any_pi_an_interface(any_device: Descriptors) -> None:
    stage = identify.stage(any_device)
    assert isinstance(stage, Stage)
    number, endpoint = identify.boot_interface(any_device)
    offered = {(i.number, i.bulk_out) for i in any_device.interfaces[:2]}
    assert (number, endpoint) in offered | {(0, 0x01), (1, 0x03)}
    if stage in (Stage.ROM, Stage.LOADER):
        assert any_device.vendor == BROADCOM
        assert identify.chip(any_device) in identify.BOOTCODE


@settings(max_examples=EXAMPLES, deadline=None)
@given(DEVICES)
def test_only_ids_that_pis_were_seen_with_are_pis(any_device: Descriptors) -> None:
    if any_device.vendor not in (BROADCOM, 0x0525, 0x1D6B, 0x3171, 0x2E8A):
        assert identify.stage(any_device) is Stage.OTHER
