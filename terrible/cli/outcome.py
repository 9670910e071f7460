"""What has come of a request, in words: what was done, what failed, and what to do about that. [pure]"""

from __future__ import annotations

from terrible.remote.heard import Trouble
from terrible.remote.question import Question

_REMEDIES = {
    "busy": "wait until it is over; terrible watch shows it",
    "expired": "set the clock of this machine and of the head right",
    "boot_failed": "terrible log {name} shows the attempt",
    "overcurrent": "see to what draws so much, then terrible release {name}",
    "dirty_card": "flash it again, with another card if this one is worn",
    "state_file": "see to the head's disk, then flash again",
    "power_unsupported": "terrible hubs shows what can be switched",
    "power_protected": "--force cuts other nodes as well, but never what is no Pi",
    "power_shared": "name all that share it, or use --force",
    "unknown_slot": "terrible status lists the slots",
}


def outcome(question: Question) -> list[str]:
    """What has been done, in lines: the slots, and what a probe has found of each."""
    assert question.last is not None
    done = [name for name in question.meant if name not in question.failed and "" not in question.failed]
    lines = [f"{question} done: {', '.join(done)}"] if done else []
    return lines + [f"{name}: {sentence}" for name, sentence in question.verdicts.items()]


def complaints(question: Question) -> list[str]:
    """What has failed, a line each, with what to do about it."""
    return [_complaint(question, name, trouble) for name, trouble in question.failed.items()]


def _complaint(question: Question, name: str, trouble: Trouble) -> str:
    who = f"{name}: " if name else f"{question}: "
    remedy = _REMEDIES.get(trouble.code, "").format(name=name or question.slots)
    return f"{who}{trouble.message}" + (f"; {remedy}" if remedy else "")
