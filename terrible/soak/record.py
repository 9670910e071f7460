"""One cycle as a row: what was heard of it, folded into what a person compares. [pure]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from terrible.model import Phase
from terrible.remote.heard import Boot, Standing

STAGES = ("arrival", "rom", "loader", "starting", "gadget")
"""Power on to ROM; ROM to LOADER; files asked for to all served; then to the gadget; then to `up`."""
FIRMWARE = ("bootcode*.bin", "start*.elf")
"""Files whose contents decide how reliably a Pi boots."""

_SHOWN_IN: dict[str, str] = {
    Phase.ROM: "rom",
    Phase.LOADING: "loader",
    Phase.STARTING: "starting",
    Phase.DISK: "starting",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed: in which stage, after how many seconds of it, and why."""

    stage: str
    seconds: float
    diagnosis: str


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle of one slot. `outcome` is up, failed or interrupted, which does not count.

    `started` is Unix time; `stages` in seconds, of the attempt that came up; `ended_in` the stage in which
    a cycle has failed for good; `firmware` sha256 by name.
    """

    slot: str
    number: int
    started: float
    seconds: float
    outcome: str
    attempts: int
    diagnosis: str = ""
    ended_in: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    firmware: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it says something about the slot."""
        return self.outcome != "interrupted"

    @property
    def first_try(self) -> bool:
        """Whether the first attempt came up."""
        return self.outcome == "up" and self.attempts == 1


def failures(boots: Sequence[Boot]) -> tuple[Failure, ...]:
    """The attempts that failed, in order."""
    return tuple(_failure(boot) for boot in boots if boot.outcome == "failed")


def ended_in(boots: Sequence[Boot], phase: str) -> str:
    """The stage in which a cycle has failed: that of its last attempt, else where the slot still is."""
    failed = failures(boots)
    return failed[-1].stage if failed else _SHOWN_IN.get(phase, "arrival")


def stages(boots: Sequence[Boot], standings: Sequence[Standing]) -> dict[str, float]:
    """How long each stage of the attempt that came up took; empty where none did."""
    boot = next((boot for boot in reversed(boots) if boot.outcome == "up"), None)
    if boot is None:
        return {}
    powered = [s.since for s in standings if s.phase == "waiting" and s.since <= boot.started]
    folded = _folded(boot)
    if powered:
        folded["arrival"] = round(boot.started - powered[-1], 3)
    else:
        folded.pop("arrival", None)  # what was before the attempt was not heard
    return folded


def firmware(boots: Sequence[Boot]) -> dict[str, str]:
    """The hashes of what decides, as far as they are known."""
    return {
        file.name: file.sha256
        for boot in boots
        for file in boot.files
        if file.sha256 and any(fnmatchcase(file.name, pattern) for pattern in FIRMWARE)
    }


def _folded(boot: Boot) -> dict[str, float]:
    """A stage that was entered twice counts whole; what follows the gadget is the way from it to `up`."""
    folded: dict[str, float] = {}
    for entry in boot.stages:
        name = "gadget" if entry.stage == "starting" and "gadget" in folded else entry.stage
        folded[name] = round(folded.pop(name, 0.0) + entry.seconds, 3)
    return folded


def _failure(boot: Boot) -> Failure:
    stage, seconds = next(reversed(_folded(boot).items()), ("arrival", 0.0))
    return Failure(stage, seconds, boot.diagnosis)
