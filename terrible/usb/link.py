"""An open boot device (`seams.Link`) over libusb: limits, pipelining and errors in the agent's words."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from terrible.errors import BootError, DeviceLeft, Silent
from terrible.seams import Device
from terrible.usb.budget import Budget
from terrible.usb.errors import UsbError, UsbGone, UsbNoMemory, UsbTimeout
from terrible.usb.libusb import Flight, Handle

SMALLEST = 16 * 1024
LARGEST = 1024 * 1024
"""Bytes of one bulk transfer. Few large ones cost the least; a slow bus gets small ones, so that four
nodes behind one full-speed translator (1 MB/s in all) still show signs of life."""
BRISK = 0.2
"""Seconds: a transfer that lands sooner is followed by one of twice its size."""
DEPTH = 2
"""Bulk transfers in flight per node: one on the wire, one waiting behind it."""
CROWDED = 0.05
CROWDED_TRIES = 600
"""Seconds to wait for the kernel's USB memory while other programs hold all of it, and how often."""
_DOES = {"announce": "take an announcement", "read": "answer a read", "write": "take any data"}
FAREWELL = 1.0
"""Seconds in which the bus reports that a device left whose transfer failed (up to 0.2 s were seen)."""


class UsbLink:
    """Transfers to one claimed device."""

    def __init__(self, device: Device, handle: Handle, endpoint: int, budget: Budget) -> None:
        self._device, self._handle, self._endpoint, self._budget = device, handle, endpoint, budget
        self._pace = Pace()

    async def control_out(self, value: int, index: int, limit: float) -> None:
        """Announce."""
        try:
            await self._handle.control_out(value, index, limit)
        except UsbError as error:
            raise await self._explain("announce", error, limit) from None

    async def control_in(self, length: int, limit: float) -> bytes:
        """Fetch."""
        try:
            return await self._handle.control_in(length, limit)
        except UsbError as error:
            raise await self._explain("read", error, limit) from None

    async def bulk_out(self, data: bytes | bytearray, stall: float, sent: Callable[[int], None]) -> None:
        """Keep the wire busy until all of `data` has landed."""
        pipe = Pipe(self._handle, self._endpoint, memoryview(data), self._budget, self._pace)
        try:
            while not pipe.done:
                await pipe.fill()
                async with asyncio.timeout(stall):
                    count = await pipe.landed()
                sent(count)
        except (UsbError, TimeoutError) as error:
            raise await self._explain("write", error, stall) from None
        finally:
            await pipe.drain()

    async def _explain(self, what: str, error: UsbError | TimeoutError, limit: float) -> BootError:
        """A failed transfer as ours. An unplugged device often shows as a bus error first."""
        if isinstance(error, UsbTimeout | TimeoutError):
            kind = Silent if what == "read" else BootError
            return kind(f"the {self._device.stage.name} did not {_DOES[what]} in {limit:g} s")
        if isinstance(error, UsbGone) or await self._leaves():
            return DeviceLeft(f"the {self._device.stage.name} left")
        return BootError(f"{what} to the {self._device.stage.name} failed: {error}")

    async def _leaves(self) -> bool:
        try:
            async with asyncio.timeout(FAREWELL):
                await self._device.left()
        except TimeoutError:
            return False
        return True


class Pace:
    """How much this device takes at once, learned from one file to the next."""

    def __init__(self) -> None:
        self.size = SMALLEST

    def learn(self, size: int, took: float) -> None:
        """A transfer of `size` bytes landed `took` seconds after the one before it."""
        if size == self.size:
            self.size = min(size * 2, LARGEST) if took < BRISK else max(size // 2, SMALLEST)


class Pipe:
    """One buffer on its way through several bulk transfers, in order."""

    def __init__(self, handle: Handle, endpoint: int, data: memoryview, budget: Budget, pace: Pace) -> None:
        self._handle, self._endpoint, self._data, self._budget = handle, endpoint, data, budget
        self._pace = pace
        self._flights: deque[tuple[Flight, int]] = deque()
        self._last = 0.0
        self._waits = 0

    @property
    def done(self) -> bool:
        """Whether everything has landed."""
        return not self._data and not self._flights

    async def fill(self) -> None:
        """Put as much in flight as depth and budget allow; wait for memory only with nothing in flight."""
        while self._data and len(self._flights) < DEPTH:
            size = min(self._pace.size, len(self._data))
            if not self._flights:
                await self._budget.take(size)
            elif not self._budget.try_take(size):
                return
            if not self._submit(size):
                if self._flights:
                    return
                await self._crowded()

    async def _crowded(self) -> None:
        """Wait a little; not for ever."""
        self._waits += 1
        if self._waits > CROWDED_TRIES:
            raise UsbNoMemory("other programs hold all of the kernel's memory for USB (usbfs_memory_mb)")
        await asyncio.sleep(CROWDED)

    def _submit(self, size: int) -> bool:
        """False where the kernel has no memory now: other programs use usbfs too."""
        self._last = self._last or asyncio.get_running_loop().time()
        try:
            flight = self._handle.bulk_out(self._endpoint, self._data[:size])
        except UsbError as error:
            self._budget.give_back(size)
            if isinstance(error, UsbNoMemory):
                return False
            raise
        self._flights.append((flight, size))
        self._data = self._data[size:]
        return True

    async def landed(self) -> int:
        """Wait for the oldest transfer; returns its bytes."""
        flight, size = self._flights[0]
        await flight.landed()
        self._flights.popleft()
        self._budget.give_back(size)
        now = asyncio.get_running_loop().time()
        self._pace.learn(size, now - self._last)
        self._last = now
        return size

    async def drain(self) -> None:
        """Cancel what is still in flight and wait until it is over."""
        flights, self._flights = self._flights, deque()
        for flight, _ in reversed(flights):  # newest first, else the next one starts as one ends
            flight.cancel()
        cancelled: asyncio.CancelledError | None = None
        for flight, size in flights:
            try:
                await flight.abort()
            except asyncio.CancelledError as error:  # it is over all the same
                cancelled = error
            self._budget.give_back(size)
        if cancelled is not None:
            raise cancelled
