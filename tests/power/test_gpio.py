"""Slots switched by GPIO lines, over a model of the chips that is held against the real `gpiod` package."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import importlib
import inspect
import logging
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from terrible.errors import HostError, PowerError
from terrible.model import Location
from terrible.power import gpio
from terrible.power.gpio import GpioPower
from terrible.seams import HubPort

from . import fakegpiod
from .fakegpiod import Head, Pin

ONE, TWO = Location("1-1.1"), Location("1-1.2")
LINES = {ONE: 17, TWO: 27}


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Head:
    """A head with one chip, of which line 17 runs a node and line 27 does not; and files for its chips."""
    made = Head()
    add_chip(made, tmp_path, {17: Pin(output=True, level=1), 27: Pin(output=True, level=0)})
    monkeypatch.setattr(gpio, "CHIPS", tmp_path)
    monkeypatch.setattr(gpio, "PERSIST", tmp_path / "persist")
    install(monkeypatch, made.module())
    return made


def install(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", module)
    monkeypatch.setitem(sys.modules, "gpiod.line", getattr(module, "line", None))


def add_chip(head: Head, directory: Path, pins: dict[int, Pin], label: str = "pinctrl-bcm2835") -> Path:
    path = directory / f"gpiochip{len(head.chips)}"
    path.touch()
    head.chips[str(path)] = pins
    head.labels[str(path)] = label
    return path


def pin(head: Head, offset: int) -> Pin:
    return next(iter(head.chips.values()))[offset]


def port(power: GpioPower, location: Location = ONE) -> HubPort:
    return asyncio.run(power.port(location))


def refused(chip: Path | None = None, lines: dict[Location, int] = LINES) -> str:
    with pytest.raises(HostError) as caught:
        GpioPower(chip, lines, active_low=False)
    return str(caught.value)


def test_what_it_says_of_itself(head: Head, tmp_path: Path) -> None:
    switch = port(GpioPower(None, LINES, active_low=False), TWO)
    assert switch.backend == "gpio"
    assert switch.why == f"the configuration names line 27 of {tmp_path}/gpiochip0 as the switch of this slot"
    assert switch.affects() == {TWO}
    assert pin(head, 17).held_by == "terrible"


@pytest.mark.parametrize("active_low", [False, True])
@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("level", [0, 1])
def test_taking_a_line_never_moves_it(head: Head, active_low: bool, output: bool, level: int) -> None:
    next(iter(head.chips.values()))[17] = Pin(pull=level, output=output, level=level)
    switch = port(GpioPower(None, LINES, active_low))
    assert pin(head, 17).levels == [level]
    assert asyncio.run(switch.powered()) is bool(level ^ active_low)


@pytest.mark.parametrize(("active_low", "on", "off"), [(False, 1, 0), (True, 0, 1)])
def test_a_switch_sets_its_own_line_and_no_other(head: Head, active_low: bool, on: int, off: int) -> None:
    switch = port(GpioPower(None, LINES, active_low), TWO)
    for wish, level in ((True, on), (False, off), (True, on)):
        asyncio.run(switch.switch(wish))
        assert pin(head, 27).level == level
        assert asyncio.run(switch.powered()) is wish
    assert pin(head, 17).levels == [1]


def test_a_line_that_was_an_input_can_be_switched_too(head: Head) -> None:
    next(iter(head.chips.values()))[17] = Pin(pull=1)
    asyncio.run(port(GpioPower(None, LINES, active_low=False)).switch(False))
    assert pin(head, 17).levels == [1, 0]


def test_a_line_that_does_not_follow_is_a_power_error(head: Head) -> None:
    pin(head, 17).stuck = True
    switch = port(GpioPower(None, LINES, active_low=False))
    with pytest.raises(PowerError, match=r"^line 17 of .*gpiochip0 does not keep its level"):
        asyncio.run(switch.switch(False))


def test_a_chip_that_fails_later_is_a_power_error_and_an_unknown_level(head: Head) -> None:
    switch = port(GpioPower(None, LINES, active_low=False))
    head.broken = True
    assert asyncio.run(switch.powered()) is None
    with pytest.raises(PowerError, match=r"^line 17 of .*gpiochip0 cannot be set: Input/output error$"):
        asyncio.run(switch.switch(False))


# -- what it cannot start with ----------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"])
def test_without_a_chip_it_is_that_of_the_header_whatever_its_number(
    head: Head, tmp_path: Path, label: str
) -> None:
    head.labels = dict.fromkeys(head.labels, "raspberrypi-exp-gpio")
    header = add_chip(head, tmp_path, {17: Pin(), 27: Pin()}, label)
    GpioPower(None, LINES, active_low=False)
    assert head.chips[str(header)][17].held_by == "terrible"
    assert pin(head, 17).held_by == ""


def test_a_machine_without_a_header(head: Head) -> None:
    head.labels = {}
    assert refused() == (
        "this machine has no GPIO header of a Raspberry Pi; name another chip as power.gpio.chip"
    )


@pytest.mark.usefixtures("head")
def test_a_chip_that_is_not_there(tmp_path: Path) -> None:
    said = refused(tmp_path / "gpiochip7")
    assert said == f"there is no GPIO chip {tmp_path}/gpiochip7; this machine has {tmp_path}/gpiochip0"


def test_no_permission(head: Head, tmp_path: Path) -> None:
    head.denied = True
    for chip in (None, tmp_path / "gpiochip0"):
        assert refused(chip) == (
            f"no permission to open {tmp_path}/gpiochip0; docs/power.md tells how to give it"
        )


@pytest.mark.usefixtures("head")
def test_a_line_that_is_not_there(tmp_path: Path) -> None:
    said = refused(None, {ONE: 17, TWO: 99})
    assert said == f"{tmp_path}/gpiochip0 has no line 99: line offset of out range"


def test_a_line_that_somebody_else_holds_is_left_alone(head: Head, tmp_path: Path) -> None:
    pin(head, 27).held_by = "spi0 CS0"
    said = refused()
    assert said == f"one of the lines 17, 27 of {tmp_path}/gpiochip0 is in use; `gpioinfo` names who uses it"
    assert (pin(head, 17).held_by, pin(head, 27).held_by) == ("", "spi0 CS0")


def test_any_other_failure_of_the_chip(head: Head, tmp_path: Path) -> None:
    head.broken = True
    assert refused() == f"{tmp_path}/gpiochip0: {os.strerror(errno.EIO)}"


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    assert refused() == (
        "GPIO needs the Python package gpiod: "
        "apt install python3-libgpiod (Debian 13), or pip install 'terrible[gpio]'"
    )


def test_with_version_1_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("gpiod")
    monkeypatch.setitem(sys.modules, "gpiod", old)
    monkeypatch.setitem(sys.modules, "gpiod.line", ModuleType("gpiod.line"))
    assert refused().startswith("the installed gpiod is older than 2: apt install python3-libgpiod")


@pytest.mark.parametrize(("persists", "warned"), [("N\n", 1), ("Y\n", 0), (None, 0)])
def test_a_kernel_that_drops_lines_at_the_end_of_the_agent_is_warned_of(
    head: Head, tmp_path: Path, caplog: pytest.LogCaptureFixture, persists: str | None, warned: int
) -> None:
    if persists is not None:
        (tmp_path / "persist").write_text(persists)
    with caplog.at_level(logging.WARNING):
        GpioPower(None, LINES, active_low=False)
    assert len(caplog.records) == warned
    assert all("persist_gpio_outputs=y" in record.message for record in caplog.records)
    assert pin(head, 17).levels == [1]


# -- the model against the real package ------------------------------------------------------------------


@pytest.fixture
def real() -> Any:
    try:
        return importlib.import_module("gpiod")
    except ImportError:
        if os.environ.get("REQUIRE_ALL") == "1":
            raise
        pytest.skip("gpiod is not installed")


def test_every_call_fits_the_real_package(real: Any, head: Head) -> None:
    switch = port(GpioPower(None, LINES, active_low=True))
    asyncio.run(switch.switch(False))
    asyncio.run(switch.powered())
    assert {name for name, _, _ in head.calls} == {
        "Chip.get_info",
        "Chip.request_lines",
        "LineRequest.get_values",
        "LineRequest.get_value",
        "LineRequest.set_value",
        "LineRequest.reconfigure_lines",
    }
    for name, args, kwargs in head.calls:
        kind, _, method = name.partition(".")
        inspect.signature(getattr(getattr(real, kind), method)).bind(None, *args, **kwargs)


def test_the_model_has_the_real_names_and_defaults(real: Any) -> None:
    line = importlib.import_module("gpiod.line")
    assert [one.name for one in fakegpiod.Value] == [one.name for one in line.Value]
    assert [one.name for one in fakegpiod.Direction] == [one.name for one in line.Direction]
    settings = {field.name: field.default for field in dataclasses.fields(real.LineSettings)}
    for field in dataclasses.fields(fakegpiod.LineSettings):
        default = settings[field.name]
        assert getattr(default, "name", default) == getattr(field.default, "name", field.default)
    inspect.signature(real.request_lines).bind("/dev/gpiochip0", {}, "terrible")
    assert "label" in {field.name for field in dataclasses.fields(real.ChipInfo)}


@pytest.mark.usefixtures("real")
def test_the_real_package_finds_no_chip_and_says_so(tmp_path: Path) -> None:
    assert refused(tmp_path / "gpiochip0").startswith(f"there is no GPIO chip {tmp_path}/gpiochip0")


@pytest.mark.usefixtures("real")
def test_the_real_package_refuses_what_is_no_chip() -> None:
    assert refused(Path("/dev/null")).startswith("/dev/null: ")
