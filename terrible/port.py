"""What one location shows: the device that is there now, and the next one that comes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from terrible.errors import DeviceLeft
from terrible.model import Location
from terrible.seams import Device

T = TypeVar("T")

HEARD = 21.0
"""Seconds after which an arrival has been heard of though its event was lost: `usb.bus` looks every 10 s
and believes the second look."""


class Port:
    """One location as its slot sees it. The bus says what arrives; the device itself says that it left."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._latest: Device | None = None
        self._arrival = asyncio.Event()
        self.untold = True
        """Neither has the bus told of a device here, nor has its power been cut: who knows what it shows."""
        self.returned = False
        """What came last came with power that had been cut: nobody put it there."""
        self._cut = False
        self._lit_at = float("-inf")

    @property
    def device(self) -> Device | None:
        """What is plugged in right now."""
        return None if self._latest is None or self._latest.gone else self._latest

    def arrived(self, device: Device) -> None:
        """A new device is on this port; whatever was there before is history."""
        self._latest, self.untold = device, False
        self.returned, self._cut = self._cut, False
        self._arrival.set()

    def went_dark(self) -> None:
        """Its power was cut: what the kernel may still list here is a ghost, until something arrives."""
        self._latest, self.untold, self._cut = None, False, True
        self._lit_at = float("-inf")

    def got_power(self) -> None:
        """It was switched on: whatever sits there starts now."""
        self._lit_at = asyncio.get_running_loop().time()

    def lit_within(self, seconds: float) -> bool:
        """Whether it was switched on so recently, by its own slot or with another's port."""
        return asyncio.get_running_loop().time() - self._lit_at < seconds

    async def shows(self, other_than: Device | None = None) -> Device:
        """The device that is there, or the next to come, unless it is `other_than`."""
        while (device := self.device) is None or device is other_than:
            self._arrival.clear()
            await self._arrival.wait()
        return device

    async def unless_it_shows(self, doing: Coroutine[Any, Any, None]) -> bool:
        """Do something that is in vain once a device is there; whether it came to its end."""
        task = asyncio.create_task(doing)
        shown = asyncio.create_task(self.shows())
        try:
            await asyncio.wait({task, shown}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            return task.done()
        finally:
            task.cancel()
            shown.cancel()
            await asyncio.wait({task, shown})


async def while_there(device: Device, doing: Coroutine[Any, Any, T]) -> T:
    """Do something that only makes sense while the device is plugged in; DeviceLeft if it leaves."""
    task = asyncio.create_task(doing)
    left = asyncio.create_task(device.left())
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise DeviceLeft(f"the {device.stage.name} left")
        return task.result()
    finally:
        task.cancel()
        left.cancel()
        await asyncio.wait({task, left})
