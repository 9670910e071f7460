"""Every wait of the agent has a name and a limit; these are the defaults (docs/limits.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Limits:
    """Every wait, by name, in seconds unless the name says otherwise. docs/limits.md tells what follows."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    power_on_to_rom: float = 15.0
    control_out: float = 3.0
    bulk_out: float = 5.0
    control_in: float = 60.0
    rom_to_loader: float = 15.0
    loader_to_gadget: float = 180.0
    first_boot: float = 900.0
    gadget_to_up: float = 120.0
    shutdown: float = 30.0
    ping_every: float = 5.0
    lost_after: float = 15.0
    watchdog: float = 120.0
    off_time: float = 5.0
    attempts: int = 3
    pauses: tuple[float, ...] = (10.0, 30.0, 60.0)
    restarts: int = 3
    bad_requests: int = 3
    stagger: float = 1.0
    cold_boots: int = 8
    cycle_every: float = 30.0
    cycles_per_hour: int = 12
    stop: float = 4.0
