"""The bus as the agent sees it (`seams.Bus`): devices that arrive and leave, in order at each location.

libusb reports a device that appears while it enumerates twice, lists children before their hub, and may
report the new device of a port before the old one is gone. So an event counts by (location, address):
an arrival known already is dropped, a new address at a location ends the old device first, and only the
address that is there can leave. What events miss, sysfs tells.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from terrible.errors import BootError, DeviceLeft, HostError
from terrible.model import Location, Stage
from terrible.seams import Device
from terrible.usb import identify
from terrible.usb.budget import Budget
from terrible.usb.errors import UsbAccess, UsbBusy, UsbError, UsbGone
from terrible.usb.hubs import Hubs
from terrible.usb.identify import Descriptors
from terrible.usb.libusb import Handle, Sighting, UsbContext
from terrible.usb.link import UsbLink

log = logging.getLogger(__name__)

HEAL_EVERY = 10.0
"""Seconds between two looks at sysfs for events that libusb missed."""
ACCESS_TRIES = 10
ACCESS_PAUSE = 0.1
"""udev sets a new device node's owner a moment after the kernel has made it."""


class UsbDevice:
    """One device on one port, from its arrival until it leaves."""

    def __init__(self, context: UsbContext, budget: Budget, sighting: Sighting) -> None:
        self.location, self.address = Location(sighting.name), sighting.address
        self.descriptors: Descriptors = sighting.descriptors
        self.stage: Stage = identify.stage(sighting.descriptors)
        self._context, self._budget, self._key = context, budget, sighting.key
        self._left = asyncio.Event()

    @property
    def gone(self) -> bool:
        """Whether it has left the bus."""
        return self._left.is_set()

    async def left(self) -> None:
        """Return once it has left the bus."""
        await self._left.wait()

    def leave(self) -> None:
        """The bus has seen it leave."""
        self._left.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[UsbLink]:
        """Open it and claim its boot interface; DeviceLeft, BootError or HostError where that fails."""
        interface, endpoint = identify.boot_interface(self.descriptors)
        handle = await self._opened()
        try:
            handle.claim(interface)
            yield UsbLink(self, handle, endpoint, self._budget)
        except UsbError as error:
            raise self._explain(error) from None
        finally:
            handle.close()

    async def _opened(self) -> Handle:
        for _ in range(ACCESS_TRIES):
            try:
                return self._context.open(self._key)
            except UsbAccess:
                await asyncio.sleep(ACCESS_PAUSE)
            except UsbError as error:
                raise self._explain(error) from None
        bus = self.location.partition("-")[0]
        raise HostError(
            f"no permission to open the Pi at {self.location} (/dev/bus/usb/{bus:0>3}/{self.address:03d}): "
            "install packaging/70-terrible.rules, or run as root"
        )

    def _explain(self, error: UsbError) -> BootError:
        if isinstance(error, UsbGone) or self.gone:
            return DeviceLeft(f"the {self.stage.name} left")
        if isinstance(error, UsbBusy):
            return BootError(
                f"another program holds the Pi at {self.location}; stop it (rpiboot, another agent?)"
            )
        return BootError(f"the Pi at {self.location} cannot be opened: {error}")


class UsbBus:
    """Every port of this machine. One per process; `arrivals` may be called once."""

    def __init__(self, sysfs: Path = Path("/sys/bus/usb/devices")) -> None:
        self._sysfs = sysfs
        self._budget = Budget()
        self._devices: dict[Location, UsbDevice] = {}
        self._arrived: asyncio.Queue[UsbDevice | HostError] = asyncio.Queue()
        self._missed: set[tuple[Location, int]] = set()
        self._sought: set[tuple[Location, int]] = set()
        if not any(sysfs.glob("usb*")):
            raise HostError("this machine has no USB host controller; on a Pi Zero, is dwc2 in host mode?")
        self.hubs = Hubs()
        self._contexts: list[UsbContext] = []
        self._scan()

    def present(self) -> Collection[Device]:
        """What is plugged in now."""
        return list(self._devices.values())

    async def arrivals(self) -> AsyncIterator[Device]:
        """First what is there, then whatever comes. Raises HostError when libusb gives up."""
        healing = asyncio.create_task(self._heal(), name="usb healing")
        try:
            while True:
                device = await self._arrived.get()
                if isinstance(device, HostError):
                    raise device
                if not device.gone:
                    yield device
        finally:
            healing.cancel()

    def close(self) -> None:
        """Give libusb back; every link must be closed before."""
        for context in self._contexts:
            context.close()

    # -- events, made unambiguous -------------------------------------------------------------------

    def _scan(self) -> None:
        """A new context looks at the whole bus; what is known already it tells in vain."""
        context = UsbContext(self._saw, self._arrived.put_nowait)
        self._contexts.append(context)
        context.start()

    def _saw(self, sighting: Sighting) -> None:
        context = self._contexts[-1]
        self.hubs.saw(context, sighting)
        if sighting.name.startswith("usb"):
            return
        known = self._devices.get(Location(sighting.name))
        same = known is not None and known.address == sighting.address
        if sighting.arrived and not same:
            self._replace(known, UsbDevice(context, self._budget, sighting))
        elif not sighting.arrived and same and known is not None:
            self._lose(known)

    def _replace(self, known: UsbDevice | None, device: UsbDevice) -> None:
        if known is not None:
            self._lose(known)
        self._devices[device.location] = device
        self._arrived.put_nowait(device)

    def _lose(self, device: UsbDevice) -> None:
        del self._devices[device.location]
        self.hubs.lost(device.location, device.address)
        device.leave()

    # -- healing --------------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Compare what we know with sysfs: libusb's own list never re-scans."""
        while True:
            await asyncio.sleep(HEAL_EVERY)
            there = plugged_in(self._sysfs)
            for device in list(self._devices.values()):
                if there.get(device.location) != device.address:
                    log.debug("%s left unseen", device.location)
                    self._lose(device)
            self._find(there)

    def _find(self, there: dict[Location, int]) -> None:
        """What was missed twice in a row is fetched, once, with a new context: its start scans the bus."""
        missed = {(at, address) for at, address in there.items() if at not in self._devices}
        again = (missed & self._missed) - self._sought
        self._missed, self._sought = missed, (self._sought & missed) | again
        if again:
            log.warning("USB events were missed at %s", ", ".join(sorted(at for at, _ in again)))
            self._scan()


def _entries(sysfs: Path) -> list[Path]:
    try:
        return list(sysfs.iterdir())
    except OSError:  # the last controller's driver has just been removed
        return []


def plugged_in(sysfs: Path) -> dict[Location, int]:
    """Location to address of every device that the kernel knows."""
    found: dict[Location, int] = {}
    for path in _entries(sysfs):
        if path.name[0].isdigit() and ":" not in path.name and not path.name.endswith("-0"):
            try:
                found[Location(path.name)] = int((path / "devnum").read_text())
            except (OSError, ValueError):
                continue  # it leaves just now
    return found
