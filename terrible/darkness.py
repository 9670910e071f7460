"""What keeps a slot without power, and what is done for it as long as that may not or cannot be."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

from terrible import policy
from terrible.errors import PowerError, Problem
from terrible.model import Phase
from terrible.port import Port
from terrible.standing import Standing
from terrible.supply import Supply


class Darkness:
    """One slot's. `serve` boots what shows meanwhile and never ends; `ended` is told of each outcome."""

    def __init__(
        self,
        port: Port,
        supply: Supply,
        standing: Standing,
        serve: Callable[[], Coroutine[Any, Any, None]],
        ended: Callable[[Problem | None], None],
    ) -> None:
        self._port, self._supply, self._standing, self._serve, self._ended = (
            port,
            supply,
            standing,
            serve,
            ended,
        )

    async def by_wish(self, force: bool) -> None:
        """Shut the node down, cut its power and keep it so. Where that is refused, the wish stands."""
        try:
            await self._supply.cut_gently(force, for_good=True)
        except PowerError as error:
            self._supply.settled()
            self._standing.say(self._standing.report.phase, error.problem)
            self._ended(error.problem)
            await self._until_cut()
        await self._keep(None)

    async def by_latch(self, why: Problem) -> None:
        """Cut the power at once and keep it so until a person lets go."""
        if not await self._supply.try_to_cut(for_good=True):
            refused = self._standing.report.problem
            message = f"{why.message}; {refused.message}" if refused else why.message
            self._standing.say(self._standing.report.phase, Problem(why.code, message))
            self._ended(why)
            await self._until_cut()
        await self._keep(why)

    async def _keep(self, why: Problem | None) -> None:
        """What shows up is cut: kernels and hubs give power back unasked, some after minutes."""
        while True:
            self._standing.say(Phase.OFF, why)
            self._ended(why if self._standing.report.wish else None)
            await self._port.shows()
            if not await self._supply.try_to_cut(for_good=True):
                await self._until_cut()

    async def _until_cut(self) -> None:
        """What may not be cut, or cannot, is served on, lest a ROM sits there unserved; neighbours change."""
        name = f"{self._standing.report.slot.name} on against its wish"
        serving = asyncio.create_task(self._serve(), name=name)
        self._standing.standing_problem = self._standing.report.problem
        try:
            for refusals in itertools.count(1):
                await asyncio.wait({serving}, timeout=policy.insist(refusals))
                if serving.done():
                    serving.result()  # it never ends by itself: this raises what went wrong
                if await self._supply.try_to_cut(for_good=True):
                    return
        finally:
            self._standing.standing_problem = None
            serving.cancel()
            await asyncio.wait({serving})
