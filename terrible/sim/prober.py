"""Probes of a simulated hub: what they see is what its ports do, judged as on a real one."""

from __future__ import annotations

import asyncio
import platform
import time

from terrible.errors import PowerError
from terrible.model import Location, Stage, Verdict
from terrible.power.verdict import Observed, remembered
from terrible.sim.cluster import SimCluster
from terrible.sim.port import SimPort

OFF, BACK, STEP = 12.0, 15.0, 0.1
"""Seconds without power, until a Pi must be back, and between two looks (`power.probe`)."""


class SimProber:
    """The `Prober` of a simulated head, on a clock that runs `speed` times as fast as a real one's."""

    def __init__(self, cluster: SimCluster, speed: float = 1.0) -> None:
        self._cluster, self._speed = cluster, speed

    async def trial(self, location: Location, before: Verdict | None) -> SimTrial | None:
        """Its one switch."""
        port = self._cluster.ports[location]
        if before is not None:
            return None
        if not port.affects():
            raise PowerError(port.why)
        return SimTrial(port, self._speed)


class SimTrial:
    """The probe of one simulated port (seams.Trial)."""

    def __init__(self, port: SimPort, speed: float) -> None:
        self.port = port
        self._speed = speed
        self.seen = Observed(port.backend, before=port.shown)

    async def off(self) -> bool:
        """Off, for as long as a real probe watches."""
        try:
            await self.port.switch(on=False)
            self.seen.off = self.seen.gone = 0.0
        except PowerError:
            self.seen.off, self.seen.answered = 0.0, True
        await asyncio.sleep(OFF / self._speed)
        return not self.seen.answered

    async def on(self) -> bool:
        """A simulated hub never fails to give power."""
        await self.port.switch(on=True)
        return True

    async def back(self) -> Verdict:
        """Look until the Pi is back as something."""
        if self.seen.before is not None and not self.seen.answered:
            self.seen.back = await self._returns()
        return remembered(self.seen, time.time(), platform.release())

    async def _returns(self) -> float | None:
        now = asyncio.get_running_loop().time
        start = now()
        while (elapsed := (now() - start) * self._speed) < BACK:
            if (shown := self._heard()) is not None:
                self.seen.after = shown
                return elapsed
            await asyncio.sleep(STEP / self._speed)
        return None

    def _heard(self) -> Stage | None:
        """What is there, as far as the bus has told the agent."""
        there = self.port.bus.present()
        return next((device.stage for device in there if device.location == self.port.location), None)
