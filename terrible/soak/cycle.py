"""One slot's part of a soak: a cycle, from the request until the slot is `up` again or is given up.

Level-triggered like the boot it watches: what counts is how the slot stands, so that a lost answer or a
broker that was away changes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from terrible.model import Phase
from terrible.soak import record
from terrible.soak.record import Cycle
from terrible.soak.verdict import WHOLE, Verdict, attempted, silence, told, verdict
from terrible.soak.view import Journal, View

AGAIN = 15.0
"""Seconds until a request that shows no effect is made again; the agent answers a repeated id once."""
PAUSE = 1.0
"""Seconds until one is made again that did not get as far as the broker."""
BUSY = 10.0
"""Seconds until a slot that was busy is asked again."""
TRANSCRIPT = 5.0
"""Seconds that a transcript may come after the state it explains."""
SETTLE = 300.0
"""Seconds that a slot has to come to rest before its first cycle; then it is cycled as it is."""
AWAY = 3900.0
"""Seconds that the agent or the broker may be away, or the slot switched off by somebody's wish."""
_AT_REST = frozenset({Phase.UP, Phase.DISK, Phase.HALTED, Phase.QUARANTINED})


class Head(Protocol):
    """The agent as a soak needs it."""

    @property
    def view(self) -> View:
        """What it says."""

    async def ask(self, slot: str, number: str, force: bool) -> bool:
        """Ask for a power cycle, by a request of this id; whether it is on its way."""


class Gone(Exception):
    """There has been no agent for so long that the test is over."""


class Bench:
    """One slot under test."""

    def __init__(self, head: Head, slot: str, force: bool, write: Callable[[Cycle], None]) -> None:
        self._head, self._slot, self._force, self._write = head, slot, force, write
        self._view = head.view
        self._now = asyncio.get_running_loop().time

    @property
    def _journal(self) -> Journal:
        return self._view.journals[self._slot]

    async def cycle(self, number: int) -> Verdict:
        """Cycle it once and write that down, also where it was cut short. Gone if the agent stays away."""
        await self._presence()
        started, began = time.time(), self._now()
        try:
            found = await self._ask_and_watch()
            await self._transcript(found)
        except (asyncio.CancelledError, Gone) as cut:
            why = "the soak was ended" if isinstance(cut, asyncio.CancelledError) else str(cut)
            self._write(self._row(number, started, self._now() - began, Verdict("interrupted", why)))
            raise
        self._write(self._row(number, started, self._now() - began, found))
        return found

    async def settle(self) -> None:
        """Return once the slot is at rest. A card that is being written is waited for without limit."""
        end = self._now() + SETTLE
        while (phase := self._phase()) not in _AT_REST:
            limit = AWAY if phase is Phase.FLASHING else end - self._now()
            if limit <= 0:
                return
            await self._view.change(limit)

    def _phase(self) -> str:
        now = self._view.standing(self._slot)
        return now.phase if now else ""

    async def _presence(self) -> None:
        """Return once there is an agent that wants the slot on."""
        end = self._now() + AWAY
        while (standing := self._view.standing(self._slot)) is None or standing.wish == "off":
            if not await self._view.change(end - self._now()):
                what = "no agent" if standing is None else "switched off by wish"
                raise Gone(f"{what} for {AWAY / 60:.0f} minutes")

    async def _ask_and_watch(self) -> Verdict:
        end = self._now() + WHOLE
        self._journal.begin(_request_id())
        while True:
            sent = await self._head.ask(self._slot, self._journal.asked, self._force)
            found = await self._watch(end, AGAIN if sent else PAUSE)
            if found is not None:
                return found
            if self._was_busy():
                await asyncio.sleep(BUSY)
                self._journal.begin(_request_id())

    async def _watch(self, end: float, again: float) -> Verdict | None:
        """Until the cycle is over; None where the request shows no effect and is to be made again."""
        heard, again = self._now(), self._now() + again
        while (found := verdict(self._journal)) is None:
            if not self._view.online:
                await self._presence()
                heard = self._now()
                if self._unheard():
                    return None
            now = self._now()
            limit = min(end, heard + silence(self._journal.now)) - now
            if limit <= 0:
                return Verdict("failed", self._stuck(now - heard))
            if self._was_busy() or (self._unheard() and now >= again):
                return None
            length = self._journal.length
            await self._view.change(min(limit, again - now) if self._unheard() else limit)
            heard = heard if self._journal.length == length else self._now()
        return found

    def _was_busy(self) -> bool:
        return any(answer.error and answer.error.code == "busy" for answer in self._journal.answers)

    def _unheard(self) -> bool:
        return not self._journal.answers and not self._journal.standings

    def _stuck(self, seconds: float) -> str:
        now = self._journal.now
        problem = f": {now.problem.message}" if now and now.problem else ""
        return f"still {now.phase if now else 'unknown'} after {seconds:.0f} s without news{problem}"

    async def _transcript(self, found: Verdict) -> None:
        """Wait for what explains the state; without it the row has no stages, or lacks a failure."""
        end = self._now() + TRANSCRIPT
        while (
            found.outcome != "interrupted"
            and attempted(self._journal)
            and not told(self._journal)
            and (limit := end - self._now()) > 0
        ):
            await self._view.change(limit)

    def _row(self, number: int, started: float, seconds: float, found: Verdict) -> Cycle:
        journal = self._journal
        up, failed = found.outcome == "up", found.outcome in ("failed", "refused")
        phase = journal.now.phase if journal.now else ""
        return Cycle(
            slot=self._slot,
            number=number,
            started=round(started, 3),
            seconds=round(seconds, 3),
            outcome="failed" if failed else found.outcome,
            attempts=attempted(journal),
            diagnosis=found.diagnosis,
            ended_in=record.ended_in(journal.boots, phase) if failed else "",
            stages=record.stages(journal.boots, journal.standings) if up else {},
            failures=record.failures(journal.boots),
            firmware=record.firmware(journal.boots),
        )


def _request_id() -> str:
    return f"soak-{secrets.token_hex(8)}"
