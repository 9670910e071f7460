"""Runs in the guest: every transfer is cancelled after every possible number of loop turns.

After each cancellation nothing may be in flight and the handle must close at once; at the end the very
same device still takes a whole transfer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine

from terrible.model import Stage
from terrible.usb.bus import UsbBus, UsbDevice
from terrible.usb.link import UsbLink

DATA = bytes(300_000)
TURNS = int(sys.argv[1])


async def cancelled_after(
    turns: int, device: UsbDevice, work: Callable[[UsbLink], Coroutine[None, None, object]]
) -> str:
    opened: list[UsbLink] = []

    async def whole() -> None:
        async with device.open() as link:
            opened.append(link)
            await work(link)

    task = asyncio.create_task(whole())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert not opened or opened[0]._handle.in_flight == 0, "something is still in flight"
    if task.cancelled():
        return "cancelled"
    return type(task.exception()).__name__ if task.exception() else "done"


WORKS: dict[str, Callable[[UsbLink], Coroutine[None, None, object]]] = {
    "announce": lambda link: link.control_out(0, 0, 3),
    "read": lambda link: link.control_in(260, 60),
    "bulk": lambda link: link.bulk_out(DATA, 5, lambda _: None),
}


async def pi(bus: UsbBus) -> UsbDevice:
    async for device in bus.arrivals():
        assert isinstance(device, UsbDevice)
        if device.stage in (Stage.ROM, Stage.LOADER):
            return device
    raise AssertionError("the bus has ended")


async def main() -> None:
    bus = UsbBus()
    device = await pi(bus)
    for name, work in WORKS.items():
        ends: dict[str, int] = {}
        for turns in range(TURNS):
            end = await cancelled_after(turns, device, work)
            ends[end] = ends.get(end, 0) + 1
        print(name, ends, flush=True)
        assert set(ends) <= {"cancelled", "done"}, ends
        assert ends["cancelled"], "no case was cut short"
    async with device.open() as link:
        await link.bulk_out(DATA, 5, lambda _: None)
    bus.close()
    print("all over")


asyncio.run(main())
