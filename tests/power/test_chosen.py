"""Which backend each slot gets from a configuration, and that the one in the documentation works."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from terrible.cli import switches
from terrible.config import Config
from terrible.errors import HostError, PowerError
from terrible.model import Location
from terrible.power import clusterhat, gpio
from terrible.power.chosen import ChosenPower, Unswitched
from terrible.power.select import NoSwitch
from terrible.power_config import BACKENDS
from terrible.seams import HubPort, Power

from .fakegpiod import Head, Pin

DOCS = Path(__file__).parents[2] / "docs/power.md"
ONE, TWO = Location("1-1.1"), Location("1-1.2")


class Automatic:
    """Stands for what finds the best switch by itself, or `only` one kind."""

    def __init__(self, only: str | None) -> None:
        self._only = only

    async def port(self, location: Location) -> HubPort:
        return NoSwitch(f"automatic {self._only} at {location}")


def why(power: Power, location: Location) -> str:
    return asyncio.run(power.port(location)).why


def made(text: str) -> Power:
    return asyncio.run(switches.chosen(Config.model_validate(tomllib.loads(text)), Automatic))


def slots(first: str | None, second: str | None) -> str:
    text = ""
    for name, location, power in (("a", ONE, first), ("b", TWO, second)):
        text += f'[[slots]]\nname = "{name}"\nlocation = "{location}"\n'
        text += f'power = "{power}"\n' if power else ""
    return text


def test_a_location_without_a_backend_of_its_own_gets_the_best() -> None:
    power = ChosenPower({ONE: Unswitched()}, Automatic(None))
    assert why(power, TWO) == "automatic None at 1-1.2"
    assert why(power, ONE) == 'the configuration says power = "none" for 1-1.1; switch it by hand'


def test_a_slot_that_nobody_can_switch_says_so_and_stays_on() -> None:
    port = asyncio.run(Unswitched().port(ONE))
    assert (port.backend, port.affects()) == ("none", frozenset())
    asyncio.run(port.switch(True))
    with pytest.raises(PowerError, match="switch it by hand"):
        asyncio.run(port.switch(False))


@pytest.mark.parametrize("backend", ["sysfs", "hub"])
def test_one_kind_of_hub_switching_can_be_forced(backend: str) -> None:
    power = made(f'hub = "1-1"\nports = 2\n[power]\nbackend = "{backend}"\n')
    assert [why(power, at) for at in (ONE, TWO)] == [f"automatic {backend} at {at}" for at in (ONE, TWO)]
    assert why(power, Location("1-1.3")) == "automatic None at 1-1.3"


def test_nothing_configured_is_automatic() -> None:
    assert why(made('hub = "1-1"\nports = 2\n'), ONE) == "automatic None at 1-1.1"


def test_a_slot_overrides_the_table() -> None:
    power = made(slots("auto", None) + '[power]\nbackend = "none"\n')
    assert why(power, ONE) == "automatic None at 1-1.1"
    assert why(power, TWO).startswith('the configuration says power = "none"')


def test_commands_know_their_slot(tmp_path: Path) -> None:
    log = tmp_path / "log"
    record = ["sh", "-c", f'echo "$0" >> {log}']
    power = made(
        slots("command", None)
        + f"[power.command]\non = {[*record, '{slot} on']}\noff = {[*record, '{number} off']}\n"
    )
    port = asyncio.run(power.port(ONE))
    asyncio.run(port.switch(True))
    asyncio.run(port.switch(False))
    assert log.read_text() == "a on\n1 off\n"
    assert why(power, TWO) == "automatic None at 1-1.2"


def test_lines_belong_to_slots_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = {4: Pin(), 5: Pin()}
    module = Head({"/dev/relays": pins}).module()
    monkeypatch.setitem(sys.modules, "gpiod", module)
    monkeypatch.setitem(sys.modules, "gpiod.line", module.line)
    monkeypatch.setattr(gpio, "PERSIST", tmp_path / "none")
    power = made(
        slots("gpio", "gpio")
        + '[power.gpio]\nchip = "/dev/relays"\nactive_low = true\nlines = {b = 4, a = 5}\n'
    )
    asyncio.run(asyncio.run(power.port(ONE)).switch(False))
    assert (pins[4].level, pins[5].level) == (0, 1)


def test_a_backend_that_cannot_work_here_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusterhat, "EEPROM", tmp_path)
    monkeypatch.setattr(clusterhat, "DEVICES", tmp_path)
    with pytest.raises(HostError, match=r"^no Cluster HAT or Cluster CTRL found for 1-1\.2;"):
        made(slots(None, "clusterhat"))


# -- the documentation ------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"), ids=lambda text: text.splitlines()[0][:30])
def test_every_configuration_in_the_documentation_is_one(text: str) -> None:
    rest = "" if "slots]]" in text or "hub =" in text else 'hub = "1-1"\nports = 4\n'
    line = "[power.gpio]\nlines = {gate = 17}\n" if "gate" in text else ""
    Config.model_validate(tomllib.loads(rest + text + line))


@pytest.fixture
def example(tmp_path: Path) -> Iterator[list[ModuleType]]:
    """The backend and the test that the documentation shows, as modules of the names that they have there."""
    names = ["terrible.power.regulator", "test_regulator"]
    modules = []
    for name, text in zip(names, blocks("python"), strict=True):
        path = tmp_path / f"{name.rpartition('.')[2]}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        modules.append(module)
    yield modules
    for name in names:
        del sys.modules[name]


def test_the_backend_in_the_documentation_passes_its_own_test(
    example: list[ModuleType], tmp_path: Path
) -> None:
    _, shown = example
    tests = {name: run for name, run in inspect.getmembers(shown, inspect.isfunction) if name[:5] == "test_"}
    assert len(tests) == 3
    for name, run in tests.items():
        directory = tmp_path / name
        directory.mkdir()
        run(directory)


def test_every_backend_is_in_the_documentation() -> None:
    table = set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.MULTILINE))
    assert table == set(BACKENDS) - {"auto"}
