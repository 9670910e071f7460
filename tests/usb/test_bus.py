"""What libusb tells in any order becomes devices that arrive and leave, in order at each location.

The real bus on the real libusb; only the machine has no USB, so the sightings are made, and so is sysfs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from terrible.errors import BootError, DeviceLeft, HostError
from terrible.model import Location, Stage
from terrible.seams import Device
from terrible.sim.families import GADGET, ZERO
from terrible.usb import bus as bus_module
from terrible.usb.budget import Budget
from terrible.usb.bus import ACCESS_PAUSE, ACCESS_TRIES, HEAL_EVERY, UsbBus, UsbDevice, plugged_in
from terrible.usb.errors import UsbAccess, UsbBusy, UsbError, UsbGone
from terrible.usb.identify import Descriptors, Interface
from terrible.usb.libusb import Handle, Sighting, UsbContext
from tests import clock

ROUNDS = 20_000 if os.environ.get("LONG") == "1" else 200
HUB = Descriptors(0x04B4, 0x6570, 0, 0x09, 0, 480, (Interface(0, 0x09, 0, 0),))
NOTHING = Descriptors(0, 0, 0, 0, 0, 0, ())


class Key:
    """What usb1 would open; here nothing can be opened."""


def arrival(name: str, address: int, descriptors: Descriptors = ZERO.rom) -> Sighting:
    return Sighting(True, name, address, descriptors, Key())


def leaving(name: str, address: int) -> Sighting:
    return Sighting(False, name, address, NOTHING, Key())


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    plug(tmp_path, "usb1", 1)
    return tmp_path


def plug(sysfs: Path, name: str, address: int) -> None:
    (sysfs / name).mkdir(exist_ok=True)
    (sysfs / name / "devnum").write_text(f"{address}\n")


class Seen:
    """A bus and all that it told."""

    def __init__(self, bus: UsbBus) -> None:
        self.bus = bus
        self.told: list[Device] = []

    def sees(self, *sightings: Sighting) -> None:
        for sighting in sightings:
            self.bus._saw(sighting)

    async def listen(self) -> None:
        async for device in self.bus.arrivals():
            assert not device.gone
            self.told.append(device)

    async def news(self) -> list[tuple[str, int]]:
        """Location and address of what was told since the last time."""
        await asyncio.sleep(0.001)
        told, self.told = self.told, []
        return [(d.location, d.address) for d in told if isinstance(d, UsbDevice)]

    @property
    def present(self) -> set[tuple[str, int]]:
        return {(d.location, d.address) for d in self.bus.present() if isinstance(d, UsbDevice)}


@asynccontextmanager
async def listening(sysfs: Path) -> AsyncIterator[Seen]:
    seen = Seen(UsbBus(sysfs))
    task = asyncio.create_task(seen.listen())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})
        seen.bus.close()


# -- the order of events ---------------------------------------------------------------------------------


def test_without_a_usb_controller_one_line_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(HostError, match="no USB host controller; on a Pi Zero, is dwc2 in host mode"):
            UsbBus(tmp_path)
        with pytest.raises(HostError, match="no USB host controller"):
            UsbBus(tmp_path / "not there")

    clock.run(story())


def test_what_is_there_already_is_told_first(sysfs: Path) -> None:
    async def story() -> None:
        bus = UsbBus(sysfs)
        bus._saw(arrival("1-1.2", 5))
        assert [d.location for d in bus.present()] == ["1-1.2"]
        seen = Seen(bus)
        task = asyncio.create_task(seen.listen())
        seen.sees(arrival("1-1.3", 6))
        assert await seen.news() == [("1-1.2", 5), ("1-1.3", 6)]
        task.cancel()
        await asyncio.wait({task})
        bus.close()

    clock.run(story())


def test_an_arrival_told_twice_is_one(sysfs: Path) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(arrival("1-1.2", 5), arrival("1-1.2", 5))
            assert await seen.news() == [("1-1.2", 5)]
            seen.sees(arrival("1-1.2", 5))
            assert await seen.news() == []

    clock.run(story())


def test_the_new_device_ends_the_old_and_the_late_word_of_its_leaving_ends_nothing(sysfs: Path) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(arrival("1-1.2", 5))
            await seen.news()
            (rom,) = seen.bus.present()
            seen.sees(arrival("1-1.2", 6, ZERO.loader))
            assert rom.gone
            await rom.left()
            assert await seen.news() == [("1-1.2", 6)]
            (loader,) = seen.bus.present()
            seen.sees(leaving("1-1.2", 5))
            assert loader.stage is Stage.LOADER
            assert not loader.gone
            assert seen.present == {("1-1.2", 6)}
            seen.sees(leaving("1-1.2", 6))
            assert loader.gone
            assert seen.present == set()

    clock.run(story())


def test_what_was_never_seen_can_leave(sysfs: Path) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(leaving("1-1.2", 5), leaving("usb1", 1), leaving("1-1.2", 5))
            assert await seen.news() == []

    clock.run(story())


def test_what_left_before_anybody_looked_is_not_told(sysfs: Path) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(arrival("1-1.2", 5), leaving("1-1.2", 5), arrival("1-1.2", 6), arrival("1-1.2", 7))
            assert await seen.news() == [("1-1.2", 7)]

    clock.run(story())


def test_children_may_be_told_before_their_hub(sysfs: Path) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(arrival("1-1.2", 5), arrival("1-1", 2, HUB), arrival("usb1", 1, HUB))
            assert await seen.news() == [("1-1.2", 5), ("1-1", 2)]
            seen.sees(leaving("1-1", 2))
            assert seen.present == {("1-1.2", 5)}

    clock.run(story())


def test_the_same_ports_of_several_buses_and_hubs_are_different_places(sysfs: Path) -> None:
    places = ["1-1.2", "2-1.2", "10-1.2", "1-1.2.1", "1-1.2.1.4.7.12", "1-12"]

    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(*(arrival(place, 5) for place in places))
            assert [place for place, _ in await seen.news()] == places
            seen.sees(leaving("1-1.2", 5))
            assert {place for place, _ in seen.present} == set(places[1:])

    clock.run(story())


def disorder(dice: random.Random) -> list[Sighting]:
    """Six devices at two places, told of once or twice; that they left is told late, or never."""
    events: list[Sighting] = []
    late: list[Sighting] = []
    for address in range(1, 7):
        place = dice.choice(["1-1.1", "1-1.2"])
        events += [arrival(place, address)] * dice.choice([1, 1, 2])
        late += [leaving(place, address)] * (dice.random() < 0.7)
        while late and dice.random() < 0.5:
            events.append(late.pop(dice.randrange(len(late))))
    return events + late


def test_any_disorder_of_events_ends_with_what_is_plugged_in(sysfs: Path) -> None:
    """A device is told once, and before the next one of its place is told it has left."""

    async def story(dice: random.Random) -> None:
        async with listening(sysfs) as seen:
            there: dict[str, int] = {}
            met: list[Device] = []
            told: list[tuple[str, int]] = []
            for event in disorder(dice):
                seen.sees(event)
                if event.arrived:
                    there[event.name] = event.address
                elif there.get(event.name) == event.address:
                    del there[event.name]
                assert seen.present == set(there.items())
                met += [device for device in seen.bus.present() if device not in met]
                assert {device for device in met if not device.gone} == set(seen.bus.present())
                if dice.random() < 0.5:
                    told += await seen.news()
            told += await seen.news()
            assert len(told) == len(set(told))

    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"seed {seed}, {ROUNDS} disorders")
    for number in range(ROUNDS):
        clock.run(story(random.Random(seed + number)))


def test_a_dead_libusb_ends_the_arrivals(sysfs: Path) -> None:
    async def story() -> None:
        bus = UsbBus(sysfs)
        bus._arrived.put_nowait(HostError("libusb stopped giving events: IO"))
        with pytest.raises(HostError, match="stopped giving events"):
            async for _ in bus.arrivals():
                raise AssertionError
        bus.close()

    clock.run(story())


# -- healing ---------------------------------------------------------------------------------------------


def test_sysfs_is_read_for_devices_only(sysfs: Path) -> None:
    for name in ("1-1", "1-1.2", "2-1.10.3", "12-3"):
        plug(sysfs, name, 7)
    for name in ("1-0:1.0", "1-1:1.0", "1-1.2:1.1", "usb2", "1-0", "ep_00"):
        plug(sysfs, name, 9)
    (sysfs / "1-1.3").mkdir()  # it leaves just now
    plug(sysfs, "1-1.4", 8)
    (sysfs / "1-1.4" / "devnum").write_text("")
    assert plugged_in(sysfs) == {Location(n): 7 for n in ("1-1", "1-1.2", "2-1.10.3", "12-3")}


def test_a_device_that_left_unseen_is_found_out(sysfs: Path) -> None:
    async def story() -> None:
        plug(sysfs, "1-1.2", 5)
        plug(sysfs, "1-1.3", 7)
        async with listening(sysfs) as seen:
            seen.sees(arrival("1-1.2", 5), arrival("1-1.3", 6), arrival("1-1.4", 8))
            await asyncio.sleep(HEAL_EVERY + 1)
            assert seen.present == {("1-1.2", 5)}

    clock.run(story())


def test_a_ghost_that_the_kernel_still_lists_gives_way_to_what_arrives(sysfs: Path) -> None:
    async def story() -> None:
        plug(sysfs, "1-1.2", 5)
        async with listening(sysfs) as seen:
            seen.sees(arrival("1-1.2", 5, GADGET))
            (ghost,) = seen.bus.present()
            await asyncio.sleep(3 * HEAL_EVERY)
            assert not ghost.gone
            plug(sysfs, "1-1.2", 6)
            seen.sees(arrival("1-1.2", 6), leaving("1-1.2", 5))
            assert ghost.gone
            await asyncio.sleep(3 * HEAL_EVERY)
            assert seen.present == {("1-1.2", 6)}

    clock.run(story())


class Scanning:
    """A libusb context that finds, at its start, what the machine has."""

    machine: tuple[Sighting, ...] = ()
    starts = 0

    def __init__(self, seen: Callable[[Sighting], None], _: Callable[[HostError], None]) -> None:
        self._seen = seen

    def start(self) -> None:
        Scanning.starts += 1
        for sighting in self.machine:
            self._seen(sighting)

    def close(self) -> None:
        pass


@pytest.fixture
def scanning(monkeypatch: pytest.MonkeyPatch) -> type[Scanning]:
    monkeypatch.setattr(bus_module, "UsbContext", Scanning)
    monkeypatch.setattr(Scanning, "starts", 0)
    monkeypatch.setattr(Scanning, "machine", ())
    return Scanning


def test_an_arrival_that_was_missed_is_found_at_the_second_look(
    sysfs: Path, scanning: type[Scanning], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            plug(sysfs, "1-1.2", 5)
            scanning.machine = (arrival("1-1.2", 5),)
            await asyncio.sleep(HEAL_EVERY + 1)
            assert (scanning.starts, await seen.news()) == (1, [])  # its event may be under way
            await asyncio.sleep(HEAL_EVERY)
            assert (scanning.starts, await seen.news()) == (2, [("1-1.2", 5)])
            await asyncio.sleep(100 * HEAL_EVERY)
            assert scanning.starts == 2

    with caplog.at_level(logging.WARNING):
        clock.run(story())
    assert [r.message for r in caplog.records] == ["USB events were missed at 1-1.2"]


def test_an_arrival_that_is_only_late_needs_no_new_scan(sysfs: Path, scanning: type[Scanning]) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            plug(sysfs, "1-1.2", 5)
            await asyncio.sleep(HEAL_EVERY + 1)
            seen.sees(arrival("1-1.2", 5))
            await asyncio.sleep(10 * HEAL_EVERY)
            assert scanning.starts == 1

    clock.run(story())


def test_what_libusb_cannot_see_at_all_is_not_looked_for_for_ever(
    sysfs: Path, scanning: type[Scanning]
) -> None:
    async def story() -> None:
        async with listening(sysfs):
            plug(sysfs, "1-1.2", 5)
            await asyncio.sleep(1000 * HEAL_EVERY)
            assert scanning.starts < 10

    clock.run(story())


# -- opening ---------------------------------------------------------------------------------------------


class Opening:
    """A context that gives these errors one after the other instead of a handle."""

    def __init__(self, *errors: UsbError) -> None:
        self.errors = list(errors)

    def open(self, _: Any) -> Handle:
        raise self.errors.pop(0)


def opened(context: Any, *, gone: bool = False) -> float:
    """Try to open a device; returns how many seconds that took if it succeeds."""

    async def story() -> float:
        device = UsbDevice(context, Budget(), arrival("1-1.2", 5))
        if gone:
            device.leave()
        async with device.open():
            return asyncio.get_running_loop().time()

    return clock.run(story())


@pytest.mark.parametrize(
    ("error", "kind", "why"),
    [
        (UsbBusy("busy"), BootError, r"another program holds the Pi at 1-1\.2; stop it"),
        (UsbGone("gone"), DeviceLeft, "the ROM left"),
        (UsbError("IO"), BootError, r"the Pi at 1-1\.2 cannot be opened: IO"),
    ],
)
def test_a_device_that_cannot_be_opened(error: UsbError, kind: type[BootError], why: str) -> None:
    with pytest.raises(BootError, match=why) as failed:
        opened(Opening(error))
    assert type(failed.value) is kind


def test_any_error_of_a_device_that_has_left_means_that_it_left() -> None:
    with pytest.raises(DeviceLeft):
        opened(Opening(UsbBusy("busy")), gone=True)


def test_no_permission_is_waited_for_and_then_a_line_with_the_remedy() -> None:
    denied = Opening(*(UsbAccess("access") for _ in range(ACCESS_TRIES)))
    with pytest.raises(HostError, match=r"at 1-1\.2 \(/dev/bus/usb/001/005\): install packaging/.*rules"):
        opened(denied)
    assert denied.errors == []


class Claiming:
    """A handle whose interface was claimed, or an error instead."""

    def __init__(self, error: UsbError | None = None) -> None:
        self.error, self.closed, self.claimed = error, False, -1

    def claim(self, interface: int) -> None:
        self.claimed = interface
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed = True


class Late(Opening):
    """udev gives permission a moment after the kernel has made the node."""

    def __init__(self, handle: Claiming, denials: int) -> None:
        super().__init__(*(UsbAccess("access") for _ in range(denials)))
        self.handle = handle

    def open(self, _: Any) -> Any:
        return super().open(_) if self.errors else self.handle


def test_a_handle_is_claimed_and_closed() -> None:
    handle = Claiming()
    assert opened(Late(handle, 3)) == pytest.approx(3 * ACCESS_PAUSE)
    assert (handle.claimed, handle.closed) == (0, True)


def test_a_handle_that_cannot_be_claimed_is_closed() -> None:
    handle = Claiming(UsbBusy("busy"))
    with pytest.raises(BootError, match="another program"):
        opened(Late(handle, 0))
    assert handle.closed


# -- hubs ------------------------------------------------------------------------------------------------


async def ask(bus: UsbBus, hub: str) -> None:
    await bus.hubs.hub_control(hub, 0xA3, 0, 0, 1, 4, 1.0)


def test_hubs_are_remembered_by_the_kernels_name(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_none(_: UsbContext, __: Any) -> Handle:
        raise UsbAccess("access")

    monkeypatch.setattr(UsbContext, "open", open_none)

    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(arrival("usb1", 1, HUB), arrival("1-1", 2, HUB), arrival("1-1.2", 5))
            for hub, path in {"usb1": "001/001", "1-1": "001/002"}.items():
                with pytest.raises(HostError, match=f"hub at {hub} .*{path}.*rules"):
                    await ask(seen.bus, hub)
            for nothing in ("1-1.2", "usb2", "2-1"):
                with pytest.raises(BootError, match=f"there is no hub at {nothing}"):
                    await ask(seen.bus, nothing)
            seen.sees(arrival("1-1", 9, HUB), leaving("1-1", 2))
            with pytest.raises(HostError, match="001/009"):
                await ask(seen.bus, "1-1")
            seen.sees(leaving("1-1", 9))
            with pytest.raises(BootError, match="no hub at 1-1"):
                await ask(seen.bus, "1-1")

    clock.run(story())


def test_a_hub_that_left_unseen_is_forgotten(sysfs: Path) -> None:
    async def story() -> None:
        async with listening(sysfs) as seen:
            seen.sees(arrival("1-1", 2, HUB))
            await asyncio.sleep(HEAL_EVERY + 1)
            assert seen.present == set()
            assert "1-1" not in seen.bus.hubs._hubs

    clock.run(story())
