"""libusb on the asyncio loop: its descriptors, hotplug and transfers. The only importer of usb1.

libusb hands us descriptors to watch and calls back from inside `handleEventsTimeout`; so callbacks only
set futures and fill queues (a synchronous call from one fails with Busy, closing the context hangs).
A transfer is over when its callback has run and not before: cancelling one means to ask for that and
to wait. A handle must have nothing in flight when it is closed, else usb1 blocks the loop until it has.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import usb1

from terrible.errors import HostError
from terrible.usb.describe import NOTHING, describe, kernel_name
from terrible.usb.errors import UsbAccess, UsbBusy, UsbError, UsbGone, UsbNoMemory, UsbStall, UsbTimeout
from terrible.usb.identify import Descriptors

_BULK_OUT = usb1.ENDPOINT_OUT
_VENDOR_OUT = usb1.REQUEST_TYPE_VENDOR | usb1.RECIPIENT_DEVICE | usb1.ENDPOINT_OUT
_VENDOR_IN = usb1.REQUEST_TYPE_VENDOR | usb1.RECIPIENT_DEVICE | usb1.ENDPOINT_IN
_IN = usb1.ENDPOINT_IN


_ERRORS: dict[type[Exception], type[UsbError]] = {
    usb1.USBErrorNoDevice: UsbGone,
    usb1.USBErrorNotFound: UsbGone,
    usb1.USBErrorTimeout: UsbTimeout,
    usb1.USBErrorPipe: UsbStall,
    usb1.USBErrorNoMem: UsbNoMemory,
    usb1.USBErrorAccess: UsbAccess,
    usb1.USBErrorBusy: UsbBusy,
}
_STATUS: dict[int, type[UsbError]] = {
    usb1.TRANSFER_NO_DEVICE: UsbGone,
    usb1.TRANSFER_TIMED_OUT: UsbTimeout,
    usb1.TRANSFER_STALL: UsbStall,
    usb1.TRANSFER_ERROR: UsbError,
    usb1.TRANSFER_OVERFLOW: UsbError,
    usb1.TRANSFER_CANCELLED: UsbError,
}
_STATUS_WORDS = {
    usb1.TRANSFER_ERROR: "bus error",
    usb1.TRANSFER_OVERFLOW: "more data than asked for",
    usb1.TRANSFER_CANCELLED: "cancelled by the kernel",
}


def translated(error: Exception) -> UsbError:
    """A usb1 error as ours."""
    return _ERRORS.get(type(error), UsbError)(str(error) or type(error).__name__)


def status_error(status: int) -> UsbError | None:
    """What a finished transfer's status means; None is success."""
    if status == usb1.TRANSFER_COMPLETED:
        return None
    kind = _STATUS.get(status, UsbError)
    return kind(_STATUS_WORDS.get(status, kind.__name__.removeprefix("Usb").lower()))


@dataclass(frozen=True, slots=True)
class Sighting:
    """One hotplug event: a device arrived or left. `name` is the kernel's: a location, or `usb1` for a
    root hub. `key` is only for opening it.
    """

    arrived: bool
    name: str
    address: int
    descriptors: Descriptors
    key: Any


class UsbContext:
    """One libusb context on the running loop."""

    def __init__(self, seen: Callable[[Sighting], None], died: Callable[[HostError], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seen, self._died = seen, died
        self._context = usb1.USBContext()
        try:
            self._context.open()
        except usb1.USBError as error:
            raise HostError(f"libusb cannot start: {error}; is /dev/bus/usb mounted?") from None
        self._watched: dict[int, int] = {}
        self._context.setPollFDNotifiers(self._watch, self._unwatch)
        for fd, events in self._context.getPollFDList():
            self._watch(fd, events, None)  # those that exist already are not announced (libusb issue 1055)

    def start(self) -> None:
        """Report every device that is there, then all that come and go."""
        if not self._context.hasCapability(usb1.CAP_HAS_HOTPLUG):
            raise HostError("this libusb has no hotplug support; install your distribution's libusb-1.0-0")
        self._context.hotplugRegisterCallback(self._on_hotplug)

    def close(self) -> None:
        """Stop watching; every handle must be closed before."""
        for fd in list(self._watched):
            self._unwatch(fd, None)
        self._context.setPollFDNotifiers(None, None)
        self._context.close()

    def open(self, key: Any) -> Handle:
        """Open a device. Raises UsbError."""
        try:
            return Handle(key.open())
        except usb1.USBError as error:
            raise translated(error) from None

    # -- events -------------------------------------------------------------------------------------

    def _watch(self, fd: int, events: int, _: object) -> None:
        self._watched[fd] = events
        if events & select.POLLIN:
            self._loop.add_reader(fd, self._pump)
        if events & select.POLLOUT:
            self._loop.add_writer(fd, self._pump)

    def _unwatch(self, fd: int, _: object) -> None:
        events = self._watched.pop(fd, 0)
        if events & select.POLLIN:
            self._loop.remove_reader(fd)
        if events & select.POLLOUT:
            self._loop.remove_writer(fd)

    def _pump(self) -> None:
        """Let libusb see what happened; timeouts have a descriptor of their own (a timerfd)."""
        try:
            self._context.handleEventsTimeout(0)
        except usb1.USBErrorInterrupted:
            return
        except usb1.USBError as error:
            self._died(HostError(f"libusb stopped giving events: {error}"))

    def _on_hotplug(self, _: object, device: Any, event: int) -> bool:
        """Only look and queue; a false result keeps the callback registered."""
        arrived = event == usb1.HOTPLUG_EVENT_DEVICE_ARRIVED
        found = describe(device) if arrived else NOTHING
        self._seen(Sighting(arrived, kernel_name(device), device.getDeviceAddress(), found, device))
        return False


class Handle:
    """An open device whose transfers are awaitables."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.in_flight = 0

    def claim(self, interface: int) -> None:
        """Take an interface from the kernel's driver, if one has it. No SET_CONFIGURATION: the kernel
        has done that, and doing it again resets the device. Raises UsbError.
        """
        try:
            if self._handle.kernelDriverActive(interface):
                self._handle.detachKernelDriver(interface)
            self._handle.claimInterface(interface)
        except usb1.USBErrorNotFound:
            raise UsbError(f"it has no interface {interface}") from None
        except usb1.USBError as error:
            raise translated(error) from None

    def close(self) -> None:
        """Close it; nothing may be in flight."""
        assert not self.in_flight, "a handle is closed only with nothing in flight"
        self._handle.close()

    async def control_out(self, value: int, index: int, limit: float) -> None:
        """Vendor control OUT, request 0, no data. Raises UsbError."""
        await self.control(_VENDOR_OUT, 0, value, index, b"", limit)

    async def control_in(self, length: int, limit: float) -> bytes:
        """Vendor control IN, request 0, of up to `length` bytes (usbboot main.c:468-479). Raises UsbError."""
        return await self.control(_VENDOR_IN, 0, length & 0xFFFF, length >> 16, length, limit)

    async def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int, limit: float
    ) -> bytes:
        """Any control transfer: bytes to send or a length to read; `limit` in seconds. Raises UsbError."""
        transfer = self._handle.getTransfer()
        transfer.setControl(kind, request, value, index, data, timeout=round(limit * 1000))
        flight = self.submit(transfer)
        await flight.landed()
        return bytes(transfer.getBuffer()[: transfer.getActualLength()]) if kind & _IN else b""

    def bulk_out(self, endpoint: int, data: memoryview) -> Flight:
        """Send a piece; it has no limit of its own. Raises UsbError when the kernel refuses it."""
        transfer = self._handle.getTransfer()
        transfer.setBulk(endpoint | _BULK_OUT, data)
        return self.submit(transfer)

    def submit(self, transfer: Any) -> Flight:
        """Give a transfer to the kernel. Raises UsbError."""
        flight = Flight(self, transfer)
        try:
            transfer.submit()
        except usb1.USBError as error:
            transfer.close()
            raise translated(error) from None
        self.in_flight += 1
        return flight


class Flight:
    """A submitted transfer, from submit to callback."""

    def __init__(self, handle: Handle, transfer: Any) -> None:
        self._handle, self._transfer = handle, transfer
        self._waiter: asyncio.Future[None] | None = None
        self.over = False
        self._status = usb1.TRANSFER_COMPLETED
        transfer.setCallback(self._landed)

    def _landed(self, transfer: Any) -> None:
        """Its callback. Transfer and flight let go of each other, else both wait for the collector."""
        self.over = True
        self._status = transfer.getStatus()
        transfer.setCallback(None)
        self._handle.in_flight -= 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def landed(self) -> None:
        """Return when it was completed; raise UsbError when it failed. Cancelling cancels it first."""
        try:
            await self._wait()
        except asyncio.CancelledError:
            await self.abort()
            raise
        if (error := status_error(self._status)) is not None:
            raise error

    def cancel(self) -> None:
        """Ask for its end; only the callback tells that it has ended."""
        if not self.over:
            with suppress(usb1.USBError):  # landed already, or the device is gone: its callback comes
                self._transfer.cancel()

    async def abort(self) -> None:
        """Cancel it and wait for its callback, however often we are cancelled ourselves meanwhile."""
        self.cancel()
        cancelled = False
        while not self.over:
            try:
                await self._wait()
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    async def _wait(self) -> None:
        while not self.over:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
