"""How slots are switched, as configured: which backend, and what a backend cannot find out by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from terrible import commands
from terrible.texts import fitting

Backend = Literal["auto", "sysfs", "hub", "clusterhat", "gpio", "command", "none"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

Argv = Annotated[list[str], Field(min_length=1)]
Line = Annotated[int, Field(strict=True, ge=0)]

_TABLE = ConfigDict(extra="forbid", frozen=True)


class GpioConfig(BaseModel):
    """One line for each slot, by the slot's name; without `chip` that of a Raspberry Pi's header."""

    model_config = _TABLE

    chip: Path | None = None
    active_low: bool = False
    lines: dict[str, Line] = {}


class CommandConfig(BaseModel):
    """What to run, as lists of words without a shell; `timeout` in seconds."""

    model_config = _TABLE

    on: Argv | None = None
    off: Argv | None = None
    status: Argv | None = None
    timeout: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 10.0

    @field_validator("on", "off", "status")
    @classmethod
    def _is_argv(cls, argv: list[str] | None) -> list[str] | None:
        commands.check(argv or [])
        return argv


class ClusterHatConfig(BaseModel):
    """The version of a HAT whose EEPROM does not tell it, as printed on the board."""

    model_config = _TABLE

    version: Annotated[str, fitting(r"[123]\.([0-9]|1[0-5])", "a version is written as 2.3")] | None = None


class PowerConfig(BaseModel):
    """Which backend switches all slots that do not name one themselves."""

    model_config = _TABLE

    backend: Backend = "auto"
    gpio: GpioConfig = GpioConfig()
    command: CommandConfig = CommandConfig()
    clusterhat: ClusterHatConfig = ClusterHatConfig()

    def check(self, backends: Mapping[str, Backend]) -> None:
        """ValueError where the backend of a slot, given by the slot's name, lacks what it needs."""
        self._check_lines([name for name, backend in backends.items() if backend == "gpio"], backends)
        if "command" in backends.values() and (self.command.on is None or self.command.off is None):
            raise ValueError("power.command needs on and off, each a list of words")

    def _check_lines(self, wanted: list[str], slots: Mapping[str, Backend]) -> None:
        lines = self.gpio.lines
        if strange := lines.keys() - slots.keys():
            known = ", ".join(slots) or "none"
            raise ValueError(f"power.gpio.lines: there is no slot {min(strange)!r}; there is {known}")
        if missing := [name for name in wanted if name not in lines]:
            raise ValueError(f"power.gpio.lines has no line for {', '.join(missing)}")
        if twice := {line for line in lines.values() if [*lines.values()].count(line) > 1}:
            raise ValueError(f"power.gpio.lines: two slots have line {min(twice)}")
