"""Ports switched by one GPIO line each, through libgpiod 2.

Never seen on real hardware: the tests hold this against the signatures of the `gpiod` package and a model
of what the kernel promises (Documentation/userspace-api/gpio).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from terrible.errors import HostError, PowerError
from terrible.model import Location

log = logging.getLogger(__name__)

CONSUMER = "terrible"
CHIPS = Path("/dev")
HEADER = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
"""The labels of the chip behind a Pi's header, up to the 3, of the 4, of the 5.

As pinctrl-bcm2835.c and pinctrl-rp1.c have them. Numbers differ: on a Pi 5 gpiochip4 or gpiochip0.
"""
PERSIST = Path("/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs")
"""Whether a BCM2835 pin stays an output when its line is released (pinctrl-bcm2835.c, Linux 6.10).

Raspberry Pi's own kernels say Y, mainline N.
"""


class Lines:
    """Lines of one chip, requested once and held for as long as the agent runs.

    `LineRequest` must not be used by two threads at once, and a chip on a slow bus must not hold the loop.
    """

    def __init__(self, chip: Path, offsets: Iterable[int], active_low: bool) -> None:
        self._chip = chip
        self._lock = threading.Lock()
        self._gpiod = module()
        self._request = self._ask(tuple(offsets), active_low)
        if _forgets():
            log.warning(
                "%s: this kernel turns lines into inputs when the agent ends, and nodes may lose power then; "
                "add pinctrl_bcm2835.persist_gpio_outputs=y to the kernel's command line",
                chip,
            )

    async def get(self, offset: int) -> bool:
        """The level of a line now, inverted if active low; OSError if the kernel cannot read it."""
        return await asyncio.to_thread(self._get, offset)

    async def set(self, offset: int, active: bool) -> bool:
        """Set a line; the level it has then. OSError if the kernel cannot."""
        return await asyncio.to_thread(self._set, offset, active)

    def _get(self, offset: int) -> bool:
        with self._lock:
            return bool(self._request.get_value(offset) == self._gpiod.line.Value.ACTIVE)

    def _set(self, offset: int, active: bool) -> bool:
        value = self._gpiod.line.Value.ACTIVE if active else self._gpiod.line.Value.INACTIVE
        with self._lock:
            self._request.set_value(offset, value)
            return bool(self._request.get_value(offset) == value)

    def _ask(self, offsets: tuple[int, ...], active_low: bool) -> Any:
        """Take the lines as they are, read them, and only then drive them to what they read.

        A request for output right away would drive a level before anybody knows the one that keeps the
        nodes running.
        """
        line, settings = self._gpiod.line, self._gpiod.LineSettings
        as_is = settings(direction=line.Direction.AS_IS, active_low=active_low)
        try:
            request = self._gpiod.request_lines(str(self._chip), {offsets: as_is}, CONSUMER)
            request.reconfigure_lines(
                {
                    offset: settings(
                        direction=line.Direction.OUTPUT, active_low=active_low, output_value=value
                    )
                    for offset, value in zip(offsets, request.get_values(offsets), strict=True)
                }
            )
        except ValueError as error:
            raise HostError(f"{self._chip} has no line {max(offsets)}: {error}") from error
        except OSError as error:
            raise HostError(_refusal(self._chip, offsets, error)) from error
        return request


class GpioPort:
    """The switch of one location: an active line is power."""

    backend = "gpio"

    def __init__(self, location: Location, lines: Lines, chip: Path, offset: int) -> None:
        self._location = location
        self._lines = lines
        self._offset = offset
        self._name = f"line {offset} of {chip}"

    @property
    def why(self) -> str:
        """The configuration says so."""
        return f"the configuration names {self._name} as the switch of this slot"

    def affects(self) -> frozenset[Location]:
        """Its own location."""
        return frozenset({self._location})

    async def switch(self, on: bool) -> None:
        """Set the line and read it back; what hangs on it nobody can tell."""
        try:
            done = await self._lines.set(self._offset, on)
        except OSError as error:
            raise PowerError(f"{self._name} cannot be set: {error.strerror}") from error
        if not done:
            raise PowerError(f"{self._name} does not keep its level; is something else driving it?")

    async def powered(self) -> bool | None:
        """The level of the line, None where it cannot be read."""
        try:
            return await self._lines.get(self._offset)
        except OSError:
            return None


class GpioPower:
    """The `Power` of slots with a line; `offsets` by location. HostError if one of them cannot be had."""

    def __init__(self, chip: Path | None, offsets: Mapping[Location, int], active_low: bool) -> None:
        chip = chip or header()
        lines = Lines(chip, offsets.values(), active_low)
        self._ports = {at: GpioPort(at, lines, chip, offset) for at, offset in offsets.items()}

    async def port(self, location: Location) -> GpioPort:
        """The line of that location."""
        return self._ports[location]


def module() -> Any:
    """The `gpiod` package, imported only where a slot needs it; HostError without version 2."""
    try:
        import gpiod
        import gpiod.line
    except ImportError as error:
        raise HostError(f"GPIO needs the Python package gpiod: {REMEDY}") from error
    if not hasattr(gpiod, "request_lines"):
        raise HostError(f"the installed gpiod is older than 2: {REMEDY}")
    return gpiod


REMEDY = "apt install python3-libgpiod (Debian 13), or pip install 'terrible[gpio]'"


def header() -> Path:
    """The chip behind the header of this Raspberry Pi; HostError if it is none."""
    gpiod = module()
    for path in sorted(CHIPS.glob("gpiochip*")):
        try:
            with gpiod.Chip(str(path)) as chip:
                if chip.get_info().label in HEADER:
                    return path
        except OSError as error:
            raise HostError(_refusal(path, (), error)) from error
    raise HostError("this machine has no GPIO header of a Raspberry Pi; name another chip as power.gpio.chip")


def _refusal(chip: Path, offsets: tuple[int, ...], error: OSError) -> str:
    """Why a chip gave no lines, and what to do."""
    match error.errno:
        case errno.ENOENT:
            present = ", ".join(str(path) for path in sorted(CHIPS.glob("gpiochip*"))) or "none"
            return f"there is no GPIO chip {chip}; this machine has {present}"
        case errno.EACCES | errno.EPERM:
            return f"no permission to open {chip}; docs/power.md tells how to give it"
        case errno.EBUSY:
            lines = ", ".join(map(str, offsets))
            return f"one of the lines {lines} of {chip} is in use; `gpioinfo` names who uses it"
    return f"{chip}: {error.strerror}"


def _forgets() -> bool:
    try:
        return PERSIST.read_text().strip() == "N"
    except OSError:
        return False
