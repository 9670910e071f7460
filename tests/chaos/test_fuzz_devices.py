"""Whatever devices and hubs say of themselves is read or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from terrible.model import Stage
from terrible.power import hubclass
from terrible.usb import describe, identify
from terrible.usb.identify import Descriptors
from tests.chaos.fuzz import fuzz, property_of
from tests.usb import test_identify

# -- descriptors --------------------------------------------------------------------------------------

BYTE, WORD = st.integers(0, 255), st.integers(0, 0xFFFF)


@fuzz("stage", test_identify.DEVICES)
def test_any_device_has_a_stage(any_device: Descriptors) -> None:
    property_of(test_identify.test_any_device_has_a_stage_and_any_pi_an_interface)(any_device)


@dataclass
class Endpoint:
    """An endpoint as usb1 has it."""

    address: int
    attributes: int

    def getAddress(self) -> int:  # noqa: N802
        return self.address

    def getAttributes(self) -> int:  # noqa: N802
        return self.attributes


class Numbers:
    """Every other getter of usb1: some number."""

    def __init__(self, numbers: dict[str, int], inside: list[Any]) -> None:
        self._numbers, self._inside = numbers, inside

    def __getattr__(self, name: str) -> Callable[[], int]:
        return lambda: self._numbers[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inside)

    def __len__(self) -> int:
        return len(self._inside)

    def __getitem__(self, index: int) -> Any:
        return self._inside[index]


def numbers(names: str, inside: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Numbers]:
    getters = st.fixed_dictionaries(dict.fromkeys(names.split(), WORD))
    return st.builds(Numbers, getters, st.lists(inside, max_size=most))


SETTING = numbers(
    "getNumber getClass getSubClass getProtocol", st.builds(Endpoint, address=BYTE, attributes=BYTE), 4
)
DEVICE = numbers(
    "getVendorID getProductID getbcdDevice getDeviceClass getSerialNumberDescriptor getDeviceSpeed",
    st.lists(st.lists(SETTING, max_size=2), max_size=3),
    2,
)


@fuzz("describe", DEVICE)
def test_any_descriptors_can_be_described_and_told_apart(device: Numbers) -> None:
    described = describe.describe(device)
    assert isinstance(identify.stage(described), Stage)
    assert str(described).isprintable()
    assert len(described.interfaces) <= len(device[0] if len(device) else [])


# -- hubs ---------------------------------------------------------------------------------------------


@fuzz("hub descriptor", st.binary(max_size=20), st.booleans(), st.booleans())
def test_any_hub_descriptor_is_read_or_refused(data: bytes, superspeed: bool, typed: bool) -> None:
    if typed:
        data = data[:1] + (b"\x2a" if superspeed else b"\x29") + data[2:]
    try:
        hub = hubclass.hub_descriptor(data, superspeed)
    except hubclass.BadAnswer as error:
        assert str(error).isprintable()
    else:
        assert 1 <= hub.ports <= 31


@fuzz("port status", st.binary(max_size=8) | st.binary(min_size=4, max_size=4), st.booleans())
def test_any_port_status_is_read_or_refused(data: bytes, superspeed: bool) -> None:
    try:
        status = hubclass.port_status(data, superspeed)
    except hubclass.BadAnswer as error:
        assert str(error).isprintable()
    else:
        assert len(data) == 4
        assert (status.speed is None) == (not status.connected)
