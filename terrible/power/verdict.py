"""What a probe saw of one port, and what follows from it: a judgement and one sentence for people.

A hub may obey, do nothing, or drop the device from the bus while its 5 V stays; the status bit alone does
not tell them apart. What does: a device that still answers, and a node that comes back without its boot ROM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from terrible.model import Stage

REPORTING = frozenset({"sysfs", "hub"})
"""Backends whose off shows in the port's status bits; the others cut the 5 V behind the hub's back."""
TOO_SOON = 3.0
"""Seconds. What ran and is back sooner never lost its 5 V: no Pi boots Linux or its second stage in that."""


@dataclass(slots=True)
class Observed:
    """What happened. Times are seconds after switching, off or on; None is never, within the watch.

    `refused` and `stuck` say why it was not switched off and not on again, empty if it was. `answered` is
    whether the device still took control requests at the end, `held` whether repeating beat the kernel.
    """

    backend: str
    before: Stage | None = None
    after: Stage | None = None
    refused: str = ""
    stuck: str = ""
    off: float | None = None
    gone: float | None = None
    repowered: float | None = None
    held: bool = True
    lingering: bool = False
    answered: bool = False
    back: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether this backend switches the port, whether the 5 V really go (None: it did not show), and why."""

    works: bool
    cuts: bool | None
    sentence: str


def judge(seen: Observed) -> Verdict:
    """The verdict on a port."""
    if fault := _fault(seen):
        return fault
    cuts = True if _ran(seen.before) and seen.after is Stage.ROM else None
    return Verdict(True, cuts, "It works: " + "; ".join([_worked(seen), *_reservations(seen)]) + ".")


def remembered(seen: Observed, when: float, kernel: str) -> dict[str, Any]:
    """What is kept of a probe, plain JSON values; `when` is Unix time, `kernel` its release."""
    verdict = judge(seen)
    return {
        "backend": seen.backend,
        "works": verdict.works,
        "cuts": verdict.cuts,
        "sentence": verdict.sentence,
        "off_seconds": _rounded(seen.off),
        "gone_seconds": _rounded(seen.gone),
        "back_seconds": _rounded(seen.back),
        "repowered": seen.repowered is not None,
        "lingering": seen.lingering,
        "when": round(when),
        "kernel": kernel,
    }


def _fault(seen: Observed) -> Verdict | None:
    """What stands against using this backend, the gravest first."""
    if seen.stuck:
        return Verdict(False, None, f"It could not be switched on again: {seen.stuck}.")
    if seen.refused:
        return Verdict(False, None, f"It was not switched: {seen.refused}.")
    if seen.answered:
        return Verdict(False, False, f"It does not work: {_still_there(seen)}.")
    if seen.backend in REPORTING and seen.off is None:
        return Verdict(False, False, "It does not work: the hub never reported the port without power.")
    if not seen.held:
        why = (
            f"the kernel re-powered it after {seen.repowered or 0:.1f} s, and again each time it was repeated"
        )
        return Verdict(False, None, f"It does not work: {why}.")
    if seen.backend not in REPORTING and seen.before is not None and seen.gone is None:
        return Verdict(False, False, "It does not work: the device stayed on the bus.")
    if _ran(seen.before) and _ran(seen.after) and seen.back is not None and seen.back < TOO_SOON:
        return Verdict(False, False, f"It does not work: {_never_lost_power(seen)}.")
    return None


def _still_there(seen: Observed) -> str:
    if seen.off is None:
        return "the hub never reported the port without power, and the device kept answering"
    return "the hub reported the port without power, but the device kept answering, so its 5 V stay"


def _never_lost_power(seen: Observed) -> str:
    name = seen.after.name if seen.after else ""
    return (
        f"the device left, but was back as {name} {seen.back or 0:.1f} s after power-on without a boot ROM "
        "in between, so the hub only disconnects it and its 5 V stay"
    )


def _worked(seen: Observed) -> str:
    if seen.before is None:
        done = "the port reported no power" if seen.backend in REPORTING else "the switch did as told"
        return f"{done}; nothing was plugged in to show whether the 5 V go too"
    if _ran(seen.before) and seen.after is Stage.ROM:
        return "the device lost its power and came back as ROM"
    return "the device left; it did not show whether its 5 V went too (a node that runs would)"


def _reservations(seen: Observed) -> list[str]:
    """What whoever uses the port should know all the same."""
    told = []
    if seen.repowered is not None:
        told.append(f"the kernel re-powered it after {seen.repowered:.1f} s, so off has to be repeated")
    if seen.lingering:
        told.append("the kernel kept the dead device listed")
    if seen.before is not None and seen.back is None:
        told.append("nothing has come back yet")
    return told


def _ran(stage: Stage | None) -> bool:
    """Whether it was past its boot ROM, which only a loss of power takes it back to at once."""
    return stage in (Stage.LOADER, Stage.GADGET, Stage.DISK)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
