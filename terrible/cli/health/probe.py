"""Asking this machine something it may never answer.

A stuck hub, a dead NFS server or name server can hold a process for ever, and not every such wait can be
cancelled or killed (CVE-2024-26933). So each group of findings is made in a fork: one that takes too long
is killed and left behind, and nobody waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import NoReturn

from terrible.cli.health.finding import Finding, Level

_PIECE = 65536
_END = b"."
"""Told last: a fork that was killed has not told all."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What to look at, within how many seconds, and what it means if that takes longer."""

    look: Callable[[], Iterable[Finding]]
    limit: float
    late: Finding


def ask(probe: Probe) -> list[Finding]:
    """The findings of a probe; where it takes longer than its limit, those made before, and `late`."""
    receiver, sender = os.pipe()
    fork = os.fork()
    if fork == 0:
        os.close(receiver)
        _tell(sender, probe)
    os.close(sender)
    try:
        text, in_time = _read(receiver, time.monotonic() + probe.limit)
    finally:
        os.close(receiver)
        _leave(fork)
    *lines, rest = text.split(b"\n")
    findings = [_finding(line) for line in lines]
    if rest == _END:
        return findings
    return [*findings, _ours(probe, "it ended too early") if in_time else probe.late]


def _tell(sender: int, probe: Probe) -> NoReturn:
    """In the fork: tell each finding as soon as it is made. Nothing of the parent may run here."""
    try:
        for finding in _safely(probe):
            os.write(sender, json.dumps(asdict(finding)).encode() + b"\n")
        os.write(sender, _END)
    finally:
        os._exit(0)


def _safely(probe: Probe) -> Iterable[Finding]:
    try:
        yield from probe.look()
    except Exception as error:  # noqa: BLE001  what else was found must still reach the bug report
        yield _ours(probe, f"{type(error).__name__}: {error}")


def _ours(probe: Probe, why: str) -> Finding:
    said = f"the check itself failed: {why}"
    return Finding(Level.ERROR, probe.late.what, said, "please report this, with this whole screen")


def _read(receiver: int, deadline: float) -> tuple[bytes, bool]:
    """What was told, and whether the fork had no more to tell."""
    text = b""
    while select.select([receiver], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(receiver, _PIECE)
        if not piece:
            return text, True
        text += piece
    return text, False


def _leave(fork: int) -> None:
    """It may be beyond killing; then init inherits it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(fork, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(fork, os.WNOHANG)


def _finding(line: bytes) -> Finding:
    told = json.loads(line)
    return Finding(Level(told["level"]), told["what"], told["said"], told["remedy"])
