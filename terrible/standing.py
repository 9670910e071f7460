"""What is said of one slot: its phase, problem and power, kept as the last report and told on change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from terrible.errors import Code, Problem
from terrible.model import Event, Phase, Progress, Report, Slot, Transcript
from terrible.seams import News

log = logging.getLogger(__name__)

QUIET = 60.0
"""Seconds in which the same thing of the same slot is logged once: a flapping plug must not flood."""


class Standing:
    """The published side of a slot. Saying what is said already costs nothing and tells nobody."""

    def __init__(self, slot: Slot, wish: bool, tell: Callable[[News], None]) -> None:
        self._tell = tell
        self._logged: dict[str, float] = {}
        self.standing_problem: Problem | None = None
        """What is wrong as long as nothing else is: a node that runs against its wish, say."""
        self._conflict: Problem | None = None
        self._attempts = 0
        self.report = Report(slot, Phase.WAITING, None, wish, time.time(), None, (), 0)
        tell(self.report)

    def say(
        self,
        phase: Phase,
        problem: Problem | None = None,
        *,
        wish: bool | None = None,
        power: bool | None = None,
        addresses: tuple[str, ...] = (),
        attempt: int | None = None,
    ) -> None:
        """Tell what has changed. `None` leaves wish, power and attempt as they are."""
        last = self.report
        problem = problem or self.standing_problem or self._conflict
        changed = phase is not last.phase
        report = Report(
            last.slot,
            phase,
            problem,
            last.wish if wish is None else wish,
            time.time() if changed else last.since,
            last.power if power is None else power,
            addresses,
            last.attempt if attempt is None else attempt,
        )
        if report == last:
            return
        self.report = report
        self._tell(report)
        if changed or problem != last.problem:
            self._log(f"{phase}{f': {problem.message}' if problem else ''}")

    def next_attempt(self) -> int:
        """The number of an attempt that begins now; they count from the agent's start."""
        self._attempts += 1
        return self._attempts

    def conflicts(self, problem: Problem | None) -> None:
        """The node does what it must not on the network, or, None, does so no longer."""
        if problem == self._conflict:
            return
        report, before, self._conflict = self.report, self._conflict, problem
        own = report.problem if report.problem != before else None
        self.say(report.phase, own, addresses=report.addresses)

    def shares(self, power: bool) -> None:
        """Its port lost its power together with another's, or has it back.

        A slot that is not to have power has its own reason, or needs none: a latch and what it was
        quarantined for stay said.
        """
        report = self.report
        problem = report.problem
        if power and problem is not None and problem.code is Code.POWER_SHARED:
            problem = None
        elif not power and report.phase not in (Phase.OFF, Phase.QUARANTINED):
            why = "its port lost its power together with another; say on or boot to power it"
            problem = Problem(Code.POWER_SHARED, why)
        self.say(report.phase, problem, power=power, addresses=report.addresses)

    def happened(self, kind: str, message: str, **data: object) -> None:
        """Tell of something that happened, once."""
        self._tell(Event(self.report.slot, kind, message, data))

    def progressed(self, progress: Progress) -> None:
        """Tell how far the boot is."""
        self._tell(progress)

    def attempted(self, transcript: Transcript) -> None:
        """Tell of a finished attempt."""
        self._tell(transcript)
        self.happened(transcript.outcome, transcript.diagnosis, seconds=transcript.seconds)

    def _log(self, line: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(line, -QUIET) < QUIET:
            return
        self._logged = {old: at for old, at in self._logged.items() if now - at < QUIET} | {line: now}
        log.info("%s: %s", self.report.slot.name, line)
