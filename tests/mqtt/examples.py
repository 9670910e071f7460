"""A small cluster and what is told of it."""

from __future__ import annotations

from dataclasses import replace

from terrible.model import Info, Location, Phase, Progress, Report, Slot, Transcript

CLUSTER = "rack-1"
BASE = "terrible/rack-1"
SESSION = "s1"
SLOTS = tuple(
    Slot(f"node{n}", n, Location(f"1-1.{n}"), f"02:00:00:00:00:0{n}", f"02:00:00:00:01:0{n}", f"10.42.0.1{n}")
    for n in range(1, 5)
)
INFO = Info("0.1.0", CLUSTER, "head", SESSION, 1_700_000_000.0, SLOTS, {"1-1.1": "sysfs"})


def report(slot: Slot, phase: Phase = Phase.UP, since: float = 1_700_000_100.0) -> Report:
    return Report(slot, phase, None, True, since, True, (slot.address,), 1)


def reports(phase: Phase = Phase.UP) -> tuple[Report, ...]:
    return tuple(report(slot, phase) for slot in SLOTS)


def extra(name: str) -> Slot:
    return replace(SLOTS[0], name=name, number=9, location=Location("1-1.9"))


def progress(sent: int) -> Progress:
    return Progress(SLOTS[0], Phase.LOADING, sent, "kernel.img")


def transcript(slot: str) -> Transcript:
    return Transcript(slot, 1, 1_700_000_000.0, outcome="up", diagnosis="up in 9.1 s")
