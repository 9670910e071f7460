"""Whether a cycle is over, and how it ended, from what was heard of it. [pure]"""

from __future__ import annotations

from dataclasses import dataclass

from terrible.errors import Code
from terrible.model import Phase
from terrible.remote.heard import Boot, Standing
from terrible.soak.view import Journal

DARK = 3900.0
"""Seconds that a slot without power may be silent: its share of power cycles an hour makes it wait."""
POWERED = 900.0
"""Seconds that a slot with power may be silent: longer than any wait of the agent's that ends."""
WHOLE = 3 * DARK
"""Seconds that a cycle may take in all, for a node that starts over for ever."""
_REFUSALS = frozenset(
    {Code.POWER_UNSUPPORTED, Code.POWER_PROTECTED, Code.OVERCURRENT, "unknown_slot", "bad_request"}
)
"""Errors after which nothing was done, and nothing will be."""
_EMPTY = frozenset({Phase.WAITING, Phase.HALTED, Phase.OFF})


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a cycle ended: up, failed, refused (which is a failure without a try) or interrupted."""

    outcome: str
    diagnosis: str = ""


def verdict(journal: Journal) -> Verdict | None:
    """How the cycle ended; None while it goes on."""
    return _disturbed(journal) or _answered(journal) or _stands(journal)


def silence(standing: Standing | None) -> float:
    """Seconds without any news after which a cycle has failed."""
    return DARK if standing is not None and standing.power is False else POWERED


def _disturbed(journal: Journal) -> Verdict | None:
    """Whoever else does something to the slot spoils the measurement, and that is no failure of it."""
    before = journal.before
    if before is not None and any(s.session != before.session for s in journal.standings):
        return Verdict("interrupted", "the agent was started anew")
    if any(s.wish == "off" for s in journal.standings):
        return Verdict("interrupted", "somebody switched it off")
    if any(boot.outcome == "stopped" for boot in journal.boots):
        return Verdict("interrupted", "the attempt was stopped, by somebody's order or with the agent")
    return None


def _answered(journal: Journal) -> Verdict | None:
    """A refusal is one whatever follows: the agent then finds the node running, and calls that an attempt.

    `boot_failed` means one attempt, after which the agent goes on, unless nothing ever showed up.
    """
    for answer in journal.answers:
        if answer.error is None:
            continue
        if answer.error.code in _REFUSALS:
            return Verdict("refused", answer.error.message)
        empty = journal.now is not None and journal.now.phase in _EMPTY and not attempted(journal)
        if answer.error.code == Code.BOOT_FAILED and empty:
            return Verdict("failed", answer.error.message)
    return None


def _stands(journal: Journal) -> Verdict | None:
    now = journal.now
    if now is None:
        return None
    if now.problem is not None and now.problem.code == Code.OVERCURRENT:
        return Verdict("refused", now.problem.message)
    if not attempted(journal):
        return None
    match now.phase:
        case Phase.UP:
            return Verdict("up")
        case Phase.QUARANTINED:
            return Verdict("failed", now.problem.message if now.problem else "")
        case Phase.DISK:
            return Verdict("failed", "it shows itself as a disk, not as a node")
    return None


def attempted(journal: Journal) -> int:
    """How many attempts were made; the agent counts them."""
    before = journal.before.attempt if journal.before else 0
    return max(0, journal.now.attempt - before) if journal.now else 0


def told(journal: Journal) -> bool:
    """Whether the transcript of the last attempt is here; it follows the state."""
    return any(_is_last(boot, journal) for boot in journal.boots)


def _is_last(boot: Boot, journal: Journal) -> bool:
    return journal.now is not None and boot.attempt >= journal.now.attempt
