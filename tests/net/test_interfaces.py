"""The interface of a slot is the gadget's at its location; one look at the bus serves all slots."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible.model import Location
from terrible.net import interfaces

GADGET, ADAPTER = ("0525", "a4a2"), ("0bda", "8153")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty bus; a root hub's interface, whose place is no location, is on every one."""
    (tmp_path / "1-0:1.0").mkdir()
    monkeypatch.setattr(interfaces, "USB", tmp_path)
    return tmp_path


def test_each_slot_gets_what_sits_at_it(bus: Path) -> None:
    plug(bus, "1-1.1", "1.0", "usb0", 4)
    plug(bus, "1-1.10", "1.0", "usb1", 5)
    plug(bus, "1-1.3", "1.0", "enx3", 6, ADAPTER)
    plug(bus, "1-1.4", "2.0", "usb2", 7)
    slots = [Location(f"1-1.{port}") for port in (1, 2, 3, 10)]
    found = {location: (one.name, one.index) for location, one in interfaces.at_each(slots).items()}
    assert found == {"1-1.1": ("usb0", 4), "1-1.10": ("usb1", 5)}


def test_the_first_of_several_counts(bus: Path) -> None:
    plug(bus, "1-1.1", "1.2", "usb1", 5)
    plug(bus, "1-1.1", "1.0", "usb0", 4)
    found = interfaces.at(Location("1-1.1"))
    assert found is not None
    assert found.name == "usb0"


def test_a_gadget_without_an_interface_has_none_yet(bus: Path) -> None:
    plug(bus, "1-1.1", "1.0", "usb0", 4)
    (bus / "1-1.1:1.0/net/usb0/ifindex").unlink()
    assert interfaces.at(Location("1-1.1")) is None


def test_a_machine_without_usb_has_none(bus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "USB", bus / "nowhere")
    assert interfaces.at_each([Location("1-1.1")]) == {}


def test_the_bus_is_looked_at_once_for_all_slots(bus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    real = Path.glob

    def glob(path: Path, pattern: str) -> object:
        looks.append(path)
        return real(path, pattern)

    monkeypatch.setattr(Path, "glob", glob)
    interfaces.at_each([Location(f"1-1.{port}") for port in range(1, 101)])
    assert looks == [bus]


def plug(
    bus: Path, location: str, function: str, name: str, index: int, ids: tuple[str, str] = GADGET
) -> None:
    """As sysfs shows it."""
    net = bus / f"{location}:{function}" / "net" / name
    net.mkdir(parents=True)
    (bus / location).mkdir(exist_ok=True)
    for file, content in zip(("idVendor", "idProduct"), ids, strict=True):
        (bus / location / file).write_text(f"{content}\n")
    for file, content in (("ifindex", str(index)), ("address", "02:00:00:00:00:01"), ("flags", "0x1003")):
        (net / file).write_text(f"{content}\n")
