"""Every error of libusb as one of ours, and a transfer that is over only when libusb says so."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import usb1

from terrible.errors import BootError, DeviceLeft, Silent
from terrible.model import Location
from terrible.sim.families import ZERO
from terrible.sim.hub import SimBus
from terrible.sim.wire import Wire, WireGone
from terrible.usb import libusb
from terrible.usb.budget import MEGABYTE, Budget
from terrible.usb.errors import (
    UsbAccess,
    UsbBusy,
    UsbError,
    UsbGone,
    UsbNoMemory,
    UsbStall,
    UsbTimeout,
)
from terrible.usb.libusb import Handle
from terrible.usb.link import FAREWELL, UsbLink
from tests import clock

ERRORS = {
    usb1.USBErrorAccess: UsbAccess,
    usb1.USBErrorBusy: UsbBusy,
    usb1.USBErrorIO: UsbError,
    usb1.USBErrorInterrupted: UsbError,
    usb1.USBErrorInvalidParam: UsbError,
    usb1.USBErrorNoDevice: UsbGone,
    usb1.USBErrorNoMem: UsbNoMemory,
    usb1.USBErrorNotFound: UsbGone,
    usb1.USBErrorNotSupported: UsbError,
    usb1.USBErrorOther: UsbError,
    usb1.USBErrorOverflow: UsbError,
    usb1.USBErrorPipe: UsbStall,
    usb1.USBErrorTimeout: UsbTimeout,
}
STATUSES = {
    usb1.TRANSFER_ERROR: (UsbError, "bus error"),
    usb1.TRANSFER_TIMED_OUT: (UsbTimeout, "timeout"),
    usb1.TRANSFER_CANCELLED: (UsbError, "cancelled by the kernel"),
    usb1.TRANSFER_STALL: (UsbStall, "stall"),
    usb1.TRANSFER_NO_DEVICE: (UsbGone, "gone"),
    usb1.TRANSFER_OVERFLOW: (UsbError, "more data than asked for"),
}
UNKNOWN = 99


def test_no_error_of_usb1_is_left_out() -> None:
    assert set(usb1.USBError.__subclasses__()) == set(ERRORS)


@pytest.mark.parametrize(("theirs", "ours"), ERRORS.items(), ids=lambda kind: kind.__name__)
def test_errors_of_calls(theirs: type[Exception], ours: type[UsbError]) -> None:
    translated = libusb.translated(theirs())
    assert type(translated) is ours
    assert str(translated)


def test_an_error_without_a_kind_is_ours_all_the_same() -> None:
    assert type(libusb.translated(usb1.USBError(UNKNOWN))) is UsbError


@pytest.mark.parametrize(("status", "ours"), STATUSES.items())
def test_errors_of_transfers(status: int, ours: tuple[type[UsbError], str]) -> None:
    error = libusb.status_error(status)
    assert error is not None
    assert (type(error), str(error)) == ours


def test_a_completed_transfer_is_no_error_and_an_unknown_status_is_one() -> None:
    assert libusb.status_error(usb1.TRANSFER_COMPLETED) is None
    assert type(libusb.status_error(UNKNOWN)) is UsbError


# -- a usb1 handle without hardware ------------------------------------------------------------------

SLOW = 0.01
"""Seconds until the kernel reports that a transfer is over, cancelled ones too."""


@dataclass
class Usb1Handle:
    """What usb1 gives us of an open device, with a simulated wire behind it."""

    wire: Wire = field(default_factory=Wire)
    refuses: list[Exception] = field(default_factory=list)
    status: int | None = None
    happens: Callable[[], None] = lambda: None
    flying: int = 0
    closed: bool = False

    def getTransfer(self) -> Usb1Transfer:  # noqa: N802
        return Usb1Transfer(self)

    def close(self) -> None:
        assert not self.flying
        self.closed = True


class Usb1Transfer:
    """One transfer; its callback comes late and exactly once, as libusb's does."""

    def __init__(self, handle: Usb1Handle) -> None:
        self._handle = handle
        self._status = usb1.TRANSFER_COMPLETED
        self._answer = b""
        self._limit: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.setControl, self.setBulk = self._set_control, self._set_bulk
        self.setCallback, self.getStatus = self._set_callback, lambda: self._status
        self.getBuffer, self.getActualLength = lambda: self._answer, lambda: len(self._answer)

    def _set_control(self, kind: int, _: int, value: int, index: int, data: Any, timeout: int) -> None:
        self._limit = timeout / 1000 or None
        wire = self._handle.wire
        self._work: Callable[[], Coroutine[Any, Any, Any]] = (
            (lambda: wire.host_in(data)) if kind & usb1.ENDPOINT_IN else (lambda: wire.host_out(value, index))
        )

    def _set_bulk(self, endpoint: int, data: memoryview) -> None:
        assert endpoint == 1
        self._work = lambda: self._handle.wire.host_bulk(bytes(data))

    def _set_callback(self, callback: Callable[[Usb1Transfer], None]) -> None:
        self._callback = callback

    def submit(self) -> None:
        if self._handle.refuses:
            raise self._handle.refuses.pop(0)
        self._handle.flying += 1
        self._task = asyncio.create_task(self._fly())
        self._handle.happens()

    def cancel(self) -> None:
        if self._task is None or self._task.done():
            raise usb1.USBErrorNotFound
        self._task.cancel()

    def close(self) -> None:
        assert self._task is None

    async def _fly(self) -> None:
        try:
            async with asyncio.timeout(self._limit):
                self._answer = await self._work() or b""
            self._status = usb1.TRANSFER_COMPLETED if self._handle.status is None else self._handle.status
        except WireGone:
            self._status = usb1.TRANSFER_NO_DEVICE
        except TimeoutError:
            self._status = usb1.TRANSFER_TIMED_OUT
        except asyncio.CancelledError:
            self._status = usb1.TRANSFER_CANCELLED
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(SLOW)
        self._handle.flying -= 1
        self._callback(self)
        self._handle.happens()


@dataclass
class Open:
    """An open link, whose device can leave."""

    usb: Usb1Handle = field(default_factory=Usb1Handle)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        self.device = SimBus().plug(Location("1-1.1"), ZERO.loader)
        self.usb.wire = self.device.wire
        self.handle = Handle(self.usb)
        self.link = UsbLink(self.device, self.handle, 1, self.budget)


TRANSFERS: dict[str, Callable[[UsbLink], Coroutine[Any, Any, Any]]] = {
    "announce": lambda link: link.control_out(24, 0, 3.0),
    "read": lambda link: link.control_in(260, 60.0),
    "write": lambda link: link.bulk_out(bytes(100_000), 5.0, lambda _: None),
}


# -- errors in the agent's words --------------------------------------------------------------------


async def node(wire: Wire) -> None:
    """Takes whatever comes, and answers."""
    with suppress(WireGone):
        await asyncio.gather(wire.take(10**9), wire.answer(bytes(260)))


def failing(what: str, usb: Usb1Handle, leaves_after: float | None = None) -> tuple[BootError, float]:
    """The error that a transfer ends with, and after how many seconds."""

    async def transfer() -> tuple[BootError, float]:
        opened = Open(usb)
        life = asyncio.create_task(node(opened.device.wire))
        if leaves_after is not None:
            asyncio.get_running_loop().call_later(leaves_after, opened.device.leave)
        with pytest.raises(BootError) as failed:
            await TRANSFERS[what](opened.link)
        opened.handle.close()
        life.cancel()
        return failed.value, asyncio.get_running_loop().time()

    return clock.run(transfer())


@pytest.mark.parametrize("what", TRANSFERS)
@pytest.mark.parametrize("status", set(STATUSES) - {usb1.TRANSFER_TIMED_OUT, usb1.TRANSFER_NO_DEVICE})
def test_a_failed_transfer_is_a_failure_of_the_node_that_says_what(what: str, status: int) -> None:
    error, _ = failing(what, Usb1Handle(status=status))
    assert type(error) is BootError
    assert str(error) == f"{what} to the LOADER failed: {STATUSES[status][1]}"


@pytest.mark.parametrize("what", TRANSFERS)
def test_a_device_that_is_gone_has_left_and_is_told_at_once(what: str) -> None:
    error, seconds = failing(what, Usb1Handle(status=usb1.TRANSFER_NO_DEVICE))
    assert type(error) is DeviceLeft
    assert seconds < FAREWELL


@pytest.mark.parametrize("what", TRANSFERS)
@pytest.mark.parametrize("status", [usb1.TRANSFER_ERROR, usb1.TRANSFER_STALL, usb1.TRANSFER_CANCELLED])
def test_an_unplugged_device_often_shows_as_a_bus_error_first(what: str, status: int) -> None:
    error, _ = failing(what, Usb1Handle(status=status), leaves_after=FAREWELL / 2)
    assert type(error) is DeviceLeft


@pytest.mark.parametrize("what", TRANSFERS)
@pytest.mark.parametrize("kind", [usb1.USBErrorIO, usb1.USBErrorNoDevice])
def test_the_kernel_refuses_a_transfer(what: str, kind: type[Exception]) -> None:
    error, _ = failing(what, Usb1Handle(refuses=[kind()]))
    assert type(error) is (DeviceLeft if kind is usb1.USBErrorNoDevice else BootError)


@pytest.mark.parametrize(
    ("what", "kind", "limit", "said"),
    [
        ("announce", BootError, 3.0, "did not take an announcement in 3 s"),
        ("read", Silent, 60.0, "did not answer a read in 60 s"),
        ("write", BootError, 5.0, "did not take any data in 5 s"),
    ],
)
def test_each_transfer_has_its_limit_and_only_a_read_is_called_silence(
    what: str, kind: type[BootError], limit: float, said: str
) -> None:
    async def transfer() -> None:
        opened = Open()
        if what == "announce":  # the simulated wire always takes it at once
            opened.usb.wire.host_out = lambda value, index: asyncio.sleep(100)  # type: ignore[method-assign]
        with pytest.raises(BootError, match=said) as failed:
            await TRANSFERS[what](opened.link)
        assert type(failed.value) is kind
        assert asyncio.get_running_loop().time() == pytest.approx(limit, abs=4 * SLOW)
        opened.handle.close()

    clock.run(transfer())


def test_a_crowded_kernel_is_waited_for() -> None:
    async def transfer() -> None:
        opened = Open(Usb1Handle(refuses=[usb1.USBErrorNoMem() for _ in range(50)]))
        life = asyncio.create_task(node(opened.device.wire))
        sent: list[int] = []
        await opened.link.bulk_out(bytes(100_000), 5.0, sent.append)
        assert sum(sent) == 100_000
        assert opened.budget.try_take(8 * MEGABYTE)
        life.cancel()

    clock.run(transfer())


class WithoutInterface:
    """A usb1 handle of a device that is there and has no such interface."""

    def kernelDriverActive(self, _: int) -> bool:  # noqa: N802
        return False

    def claimInterface(self, _: int) -> None:  # noqa: N802
        raise usb1.USBErrorNotFound


def test_an_interface_that_is_not_there_does_not_mean_that_the_device_left() -> None:
    with pytest.raises(UsbError) as failed:
        Handle(WithoutInterface()).claim(1)
    assert not isinstance(failed.value, UsbGone)


# -- cancelled whenever anything happens -------------------------------------------------------------------


async def cancelled_at(step: int, times: int) -> bool:
    """Cancel a write and a read at the n-th event, and again meanwhile; False if there is none."""
    opened = Open()
    events = itertools.count(1)

    def cancel() -> None:
        if next(events) == step:
            for again in range(times):
                asyncio.get_running_loop().call_later(again * SLOW / 4, task.cancel)

    async def both() -> None:
        await opened.link.bulk_out(bytes(400_000), 5.0, lambda _: None)
        await opened.link.control_in(260, 60.0)

    async def pi() -> None:
        await opened.device.wire.take(400_000)
        await opened.device.wire.answer(bytes(260))

    opened.usb.happens = cancel
    life, task = asyncio.create_task(pi()), asyncio.create_task(both())
    await asyncio.wait({task})
    assert opened.handle.in_flight == opened.usb.flying == 0
    assert opened.budget.try_take(8 * MEGABYTE), "the budget did not get everything back"
    opened.handle.close()
    life.cancel()
    return task.cancelled()


def steps(times: int) -> Iterator[int]:
    for step in itertools.count(1):
        if not clock.run(cancelled_at(step, times)):
            return
        yield step


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_cancelled_transfer_is_waited_for_and_gives_its_memory_back(times: int) -> None:
    assert len(list(steps(times))) > 10


def test_a_write_that_has_failed_can_be_cancelled_while_it_clears_up() -> None:
    async def stall() -> None:
        opened = Open()
        writing = asyncio.create_task(opened.link.bulk_out(bytes(100_000), 5.0, lambda _: None))
        await asyncio.sleep(5.0 + 1.5 * SLOW)
        assert opened.handle.in_flight == 1
        writing.cancel()
        await asyncio.wait({writing})
        assert writing.cancelled()
        assert opened.handle.in_flight == 0

    clock.run(stall())


def test_a_handle_is_not_closed_under_a_transfer() -> None:
    async def close() -> None:
        opened = Open()
        reading = asyncio.create_task(opened.link.control_in(260, 60.0))
        await asyncio.sleep(0)
        with pytest.raises(AssertionError, match="nothing in flight"):
            opened.handle.close()
        reading.cancel()
        await asyncio.wait({reading})
        opened.handle.close()
        assert opened.usb.closed

    clock.run(close())
