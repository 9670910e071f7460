"""One attempt to take a slot to `up`: its record while it is made, and whoever watches it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from terrible.errors import BootError, Problem
from terrible.model import FileRecord, Phase, Progress, Slot, StageRecord, Transcript
from terrible.seams import Device
from terrible.standing import Standing
from terrible.usb.bootfiles import Found, Missing
from terrible.usb.digests import Digest

log = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds beyond a wait's own limit after which the agent, not the node, must be at fault."""
MOST_FILES = 1000
MOST_METADATA = 100
"""A boot asks for some forty files and tells half a dozen things; a node that goes on and on is broken."""
PROGRESS_EVERY = 0.2
"""Seconds between two messages of progress of one slot: smooth for a person, cheap for a Zero."""


class Attempt:
    """Written to by the boot; it says nothing about what to do next."""

    def __init__(
        self, slot: Slot, number: int, standing: Standing, complained: Callable[[Problem], None]
    ) -> None:
        self.slot = slot
        # in whole milliseconds like a state's `since`: what came first must also read as first
        self.transcript = Transcript(slot.name, number, round(time.time(), 3))
        self.addresses: tuple[str, ...] = ()
        self._standing, self._complained = standing, complained
        self._now = asyncio.get_running_loop().time
        self._started = self._entered = self._asked = self._told = self._stepped = self._now()
        self._stage = "arrival"
        self._phase = Phase.WAITING
        self._problem: Problem | None = None
        self._sent = 0
        self._file = ""
        self._due = float("inf")
        self._digests: list[tuple[FileRecord, Digest]] = []

    def due(self) -> float:
        """The loop time by which something must have happened; infinity where a wait has no end."""
        return self._due

    def waits(self, limit: float) -> None:
        """Whatever is awaited now must be over after `limit` seconds."""
        self._due = self._now() + limit + GRACE

    # -- what the boot says ---------------------------------------------------------------------

    def meets(self, device: Device) -> None:
        """The port shows this device now."""
        self._close_stage(str(device.stage))
        self.transcript.speed = device.descriptors.speed

    def enters(self, phase: Phase) -> None:
        """The slot is in this phase from now on."""
        if phase is Phase.STARTING:
            self._close_stage("starting")
        self._phase = phase
        self._standing.say(phase, self._problem, attempt=self.transcript.attempt)

    def restarted(self) -> int:
        """The ROM came back; returns how often it did in this attempt."""
        self.transcript.restarts += 1
        return self.transcript.restarts

    def unfolded(self) -> None:
        """The system that was started is gone again by itself, as one is after its first boot.

        With the same words it would begin that anew, for ever.
        """
        self.slot = replace(self.slot, first_boot="")

    def complains(self, problem: Problem) -> None:
        """Something is wrong that does not end the attempt."""
        self._problem = problem
        self._standing.say(self._phase, problem)
        self._complained(problem)

    def passed(self, step: str) -> None:
        """The node is one step nearer to `up`."""
        seconds, self._stepped = round(self._now() - max(self._stepped, self._entered), 3), self._now()
        self.transcript.network.append(StageRecord(step, seconds))

    def reached(self, addresses: tuple[str, ...]) -> None:
        """The node answers at these addresses."""
        self.addresses = addresses

    # -- what the loader says (usb.loader.Witness) ------------------------------------------------

    def serving(self, file: Found | Missing) -> None:
        """The node reads this file now."""
        self._file = file.name

    def sent(self, count: int) -> None:
        """So many more bytes went over the bus."""
        self._sent += count
        self._due = max(self._due, self._now() + GRACE)  # bytes that move are progress
        if self._now() - self._told >= PROGRESS_EVERY:
            self._told = self._now()
            self._standing.progressed(Progress(self.slot, self._phase, self._sent, self._file))

    def served(self, file: Found | Missing) -> None:
        """The node has all of it, or knows that there is none."""
        if len(self.transcript.files) >= MOST_FILES:
            raise BootError(f"it asked for more than {MOST_FILES} files")
        seconds, self._asked = self._now() - self._asked, self._now()
        layer, looked_in = (None, file.looked_in) if isinstance(file, Missing) else (file.layer, ())
        record = FileRecord(file.name, len(file.content), None, layer, round(seconds, 4), looked_in)
        self.transcript.files.append(record)
        if isinstance(file, Found):
            self._digests.append((record, file.digest))

    def noted(self, key: str, value: str) -> None:
        """The node said this about itself."""
        if len(self.transcript.metadata) >= MOST_METADATA:
            raise BootError(f"it told more than {MOST_METADATA} things about itself")
        self.transcript.metadata[key] = value

    def bad_request(self, what: str) -> int:
        """The node sent nonsense; returns how often it did so far."""
        self.transcript.bad_requests += 1
        log.warning("%s: %s", self.slot.name, what)
        return self.transcript.bad_requests

    # -- the end ----------------------------------------------------------------------------------

    async def hashed(self) -> None:
        """Return once the hashes of all files are known; they are worked out while the bytes travel."""
        for _, digest in self._digests:
            await digest.wait()

    def closed(self, outcome: str, why: str = "") -> Transcript:
        """The finished record."""
        self._close_stage("")
        for record, digest in self._digests:
            record.sha256 = digest.known
        self.transcript.seconds = round(self._now() - self._started, 3)
        self.transcript.outcome, self.transcript.diagnosis = outcome, why
        return self.transcript

    def _close_stage(self, following: str) -> None:
        now = self._now()
        self.transcript.stages.append(StageRecord(self._stage, round(now - self._entered, 3)))
        self._stage, self._entered, self._asked = following, now, now
