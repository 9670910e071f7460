"""Switch a port off and on, and see what really happens.

Three witnesses, none of whom is trusted alone: the hub (its status bits), the kernel (the bus address of
what sits there) and the device itself (whether it still answers a control request).
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import Any

from terrible.errors import PowerError
from terrible.model import Location, Verdict
from terrible.power.hub import Hub, HubControl
from terrible.power.hubclass import PortStatus
from terrible.power.topology import Topology
from terrible.power.verdict import Observed, remembered
from terrible.seams import Bus, Device, HubPort

OFF = 12.0
"""Seconds without power. Kernels that switch a port on again took 1 to 10 (uhubctl issues 90, 93, 96)."""
BACK = 15.0
"""Seconds for the device to come back (`limits.power_on_to_rom`)."""
SEEN = 2.0
"""Seconds for libusb to hear, by udev, of what the kernel lists already."""
STEP = 0.1
"""Seconds between two looks."""
ON_TRIES = 5
ON_PAUSE = 1.0
"""As often a port is tried to be powered on again, and the seconds in between."""

Answers = Callable[[Location], Awaitable[bool | None]]
"""Whether the device at a location answers a control request; None where we may not ask."""
Witness = Callable[[], AbstractContextManager[Answers]]
"""Whoever asks it is needed only while the port is off."""


class Probe:
    """One probe of one port, which must have a switch: all of it by `run`, or step by step (`seams.Trial`).

    `failed` is what was found of the switches tried before this one, the latest first.
    """

    def __init__(
        self,
        location: Location,
        port: HubPort,
        control: HubControl,
        topology: Topology,
        bus: Bus,
        witness: Witness,
        failed: Sequence[Verdict] = (),
    ) -> None:
        self.port = port
        self._location, self._failed = location, failed
        self._control, self._topology, self._bus, self._witness = control, topology, bus, witness
        self._device: Device | None = None
        self._address: int | None = None
        self._repowered = asyncio.Event()
        self.seen = Observed(port.backend)

    async def run(self) -> Observed:
        """About 12 s without power, then up to 15 s until the device is back.

        It leaves the port powered, whatever happens.
        """
        try:
            if await self.port.powered() is False:  # what has no power has nothing to show
                await self.on()
                await self._arrival(other_than=self._topology.devnum(self._location))
            await self.off()
        finally:
            await _surely(self.on())
        await self._watch_return()
        return self.seen

    async def back(self) -> Verdict:
        """Up to 15 s until the device is back; the verdict, with those of the switches tried before."""
        await self._watch_return()
        return self.verdict()

    def verdict(self) -> Verdict:
        """What is to be remembered of what was seen."""
        found = remembered(self.seen, time.time(), platform.release())
        return {**found, "others": list(self._failed)} if self._failed else found

    # -- off --------------------------------------------------------------------------------------------

    async def off(self) -> bool:
        """Off for about 12 s; False where nothing shows that the device is gone."""
        self._device, self._address = self._present(), self._topology.devnum(self._location)
        self.seen.before = self._device.stage if self._device else None
        with self._witness() as answers:
            heard = self._address is not None and await answers(self._location) is True
            start = _now()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_status(start), name="status bit")
                tasks.create_task(self._watch_device(start, answers, heard), name="device")
                tasks.create_task(self._switch_off(), name="off")
        if self.seen.repowered is not None:
            self.seen.held = await self._holds()
        return self._address is None or self.seen.gone is not None or self.seen.lingering

    async def _switch_off(self) -> None:
        try:
            await (self._once() if self.port.backend == "hub" else self.port.switch(on=False))
        except PowerError as error:
            self.seen.refused = str(error)

    async def _once(self) -> None:
        """By class requests, but without repeating them: whether the kernel re-powers is to be seen."""
        for location in sorted(self.port.affects()):
            await self._hub(location).set_power(location.port, on=False)

    async def _holds(self) -> bool:
        """Whether the backend's own way, which repeats it, beats a kernel that re-powers."""
        try:
            await self.port.switch(on=False)
        except PowerError:
            return False
        return True

    async def _watch_status(self, start: float) -> None:
        """When the bit cleared, and whether it was set again by somebody else."""
        async for elapsed in self._looks(start, OFF):
            status = await self._status()
            if status is None:
                continue
            if not status.powered and self.seen.off is None:
                self.seen.off = elapsed
            elif status.powered and self.seen.off is not None:
                self.seen.repowered = elapsed
                self._repowered.set()

    async def _watch_device(self, start: float, answers: Answers, heard: bool) -> None:
        """When it fell silent for good, or the kernel dropped it; `heard` is that it answered before."""
        silent: float | None = None
        async for elapsed in self._looks(start, OFF):
            if self._topology.devnum(self._location) != self._address:
                self.seen.gone = elapsed if silent is None else silent
                return
            if heard and await answers(self._location):
                silent = None
            elif heard and silent is None:
                silent = elapsed
        self.seen.gone = silent
        if self._address is not None and not self._repowered.is_set():
            self.seen.answered = heard and silent is None
            self.seen.lingering = self.seen.off is not None and not self.seen.answered

    async def _looks(self, start: float, limit: float) -> AsyncIterator[float]:
        """The seconds since `start`, again and again until the limit or until somebody re-powers the port."""
        while (elapsed := _now() - start) < limit and not self._repowered.is_set():
            yield elapsed
            await asyncio.sleep(STEP)

    # -- on ---------------------------------------------------------------------------------------------

    async def on(self) -> bool:
        """Try hard: a port that stays dark is worse than any verdict."""
        for _ in range(ON_TRIES):
            try:
                await self.port.switch(on=True)
            except PowerError as error:
                self.seen.stuck = str(error)
                await asyncio.sleep(ON_PAUSE)
            else:
                self.seen.stuck = ""
                return True
        return False

    async def _watch_return(self) -> None:
        """When the kernel lists something new, and which stage libusb says a moment later that it is."""
        if self._address is None or self.seen.answered:
            return  # there was nothing, or it never left
        self.seen.back = await self._arrival(other_than=self._address)
        start = _now()
        while self.seen.back is not None and _now() - start < SEEN:
            if (found := self._present()) is not None and found is not self._device:
                self.seen.after = found.stage
                return
            await asyncio.sleep(STEP)

    async def _arrival(self, other_than: int | None) -> float | None:
        """The seconds until the kernel lists something else there; None if nothing comes."""
        start = _now()
        while (elapsed := _now() - start) < BACK:
            if self._topology.devnum(self._location) not in (None, other_than):
                return elapsed
            await asyncio.sleep(STEP)
        return None

    # -- witnesses ----------------------------------------------------------------------------------------

    def _hub(self, location: Location) -> Hub:
        return Hub(location.hub, self._topology.superspeed(location.hub), self._control)

    async def _status(self) -> PortStatus | None:
        try:
            return await self._hub(self._location).status(self._location.port)
        except PowerError:
            return None

    def _present(self) -> Device | None:
        return next((device for device in self._bus.present() if device.location == self._location), None)


async def _surely(work: Coroutine[Any, Any, object]) -> None:
    """Finish this work however often we are cancelled meanwhile: a second Ctrl-C leaves no port dark."""
    task = asyncio.create_task(work, name="power on")
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


def _now() -> float:
    return asyncio.get_running_loop().time()
