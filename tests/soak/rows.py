"""Cycles as they could have been."""

from __future__ import annotations

from terrible.soak.record import Cycle, Failure
from terrible.soak.report import About

STALLED = Failure("rom", 0.1, "the ROM stalled a transfer")
ABOUT = About(
    cluster="rack",
    slots=("node1", "node2"),
    plan="3 cycles each",
    host="head",
    version="0.1.0",
    kernel="6.12.1",
    simulated="",
    started=1_700_000_000.0,
    ended=1_700_003_600.0,
)


def up(slot: str, number: int, *failures: Failure, rom: float = 1.5) -> Cycle:
    stages = {"arrival": 0.5, "rom": rom, "loader": 4.0, "starting": 9.0, "gadget": 2.0}
    firmware = {"bootcode.bin": "aa11", "start.elf": "bb22"}
    return Cycle(
        slot, number, 1_700_000_000.0, 22.0, "up", len(failures) + 1, "", "", stages, failures, firmware
    )


def failed(slot: str, number: int) -> Cycle:
    return Cycle(
        slot, number, 1_700_000_100.0, 90.0, "failed", 3, STALLED.diagnosis, "rom", {}, (STALLED,) * 3
    )


def interrupted(slot: str, number: int) -> Cycle:
    return Cycle(slot, number, 1_700_000_200.0, 5.0, "interrupted", 0, "the agent was started anew")
