"""What has come of a request, in words: what was done, what failed, and what to do about that. [pure]"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from terrible.errors import HostError, UsageError
from terrible.remote.question import Question

_ASKED_WRONG = frozenset({"unknown_slot", "bad_request"})
T = TypeVar("T", bound=Hashable)
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
    """What has been done, in lines: the slots, what a probe has found, what a card lacks or has too much."""
    assert question.last is not None
    done = [name for name in question.meant if name not in question.failed and "" not in question.failed]
    lines = [f"{question} done: {', '.join(done)}"] if done else []
    lines += [f"{name}: {sentence}" for name, sentence in question.verdicts.items()]
    return lines + [f"{', '.join(names)}: but {remark}" for remark, names in _alike(question.remarks).items()]


def failure(question: Question) -> HostError:
    """What has failed, as what a command ends with."""
    error = question.last.error if question.last is not None else None
    kind = UsageError if error is not None and error.code in _ASKED_WRONG else HostError
    return kind("\n".join(complaints(question)))


def complaints(question: Question) -> list[str]:
    """What has failed, a line each, with what to do about it."""
    said = {name: (trouble.code, trouble.message) for name, trouble in question.failed.items()}
    return [_complaint(question, names, *trouble) for trouble, names in _alike(said).items()]


def _alike(said: Mapping[str, T]) -> dict[T, list[str]]:
    """The names of all of which the same is to be said."""
    alike: dict[T, list[str]] = {}
    for name, what in said.items():
        alike.setdefault(what, []).append(name)
    return alike


def _complaint(question: Question, names: Sequence[str], code: str, message: str) -> str:
    who = f"{', '.join(names)}: " if any(names) else f"{question}: "
    remedy = _REMEDIES.get(code, "").format(name=names[0] or question.slots)
    return f"{who}{message}" + (f"; {remedy}" if remedy else "")
