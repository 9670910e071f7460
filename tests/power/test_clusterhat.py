"""Cluster HAT and Cluster CTRL over models of their chips: who is where, what is switched and what not."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from terrible.errors import HostError, PowerError
from terrible.model import Location
from terrible.power import clusterhat, clusterhat_io, gpio
from terrible.power import clusterhat_boards as boards
from terrible.power.clusterhat import ClusterHatPower
from terrible.power.clusterhat_io import Ctrl, Expander, Pins
from terrible.seams import HubPort

from . import fakei2c
from .fakegpiod import Head, Pin
from .fakei2c import Controller, I2c

HUB = "1-1.2"
SLOTS = [Location(f"{HUB}.{port}") for port in (1, 2, 3, 4)]
OFF = [0, 0, 0, 0, None, None, None, None]
CUT = [1, 1, 1, 1, None, None, None, None]
"""What the node pins read while nobody drives them: the power-on state link whole, and cut."""
SOLDERED = [*OFF[:7], 1]


@pytest.fixture
def i2c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> I2c:
    """A head with neither board, whose /sys and EEPROM are empty directories."""
    made = I2c()
    monkeypatch.setitem(sys.modules, "smbus2", made.module())
    monkeypatch.setattr(clusterhat, "EEPROM", tmp_path / "hat")
    for module in (clusterhat, clusterhat_io):
        monkeypatch.setattr(module, "DEVICES", tmp_path / "devices")
    monkeypatch.setattr(clusterhat_io, "HUB_OFF", 0.0)
    return made


def hat(i2c: I2c, outside: list[int | None] = OFF, xra1200p: bool = True) -> fakei2c.Expander:
    chip = fakei2c.Expander(outside, xra1200p)
    i2c.buses[1] = chip
    return chip


def eeprom(tmp_path: Path, version: str, product: str = "ZC4:ClusterHAT") -> None:
    (tmp_path / "hat").mkdir()
    (tmp_path / "hat/product").write_text(product + "\0")
    (tmp_path / "hat/product_ver").write_text(version + "\0")


def usb(tmp_path: Path, device: str, vendor: str, product: str) -> Path:
    path = tmp_path / "devices" / device
    path.mkdir(parents=True)
    (path / "idVendor").write_text(vendor + "\n")
    (path / "idProduct").write_text(product + "\n")
    return path


def ctrl(i2c: I2c, tmp_path: Path, hub: str = "1-1.3", bus: int = 11) -> Controller:
    """A CTRL with three nodes and its controller on port 5 of its hub; `2.1` is behind a hub of its own."""
    chip = Controller([[5], [4], [2, 1], [1]])
    usb(tmp_path, f"{hub}.5", "3171", "0014")
    (tmp_path / "devices" / f"{hub}.5:1.0" / f"i2c-{bus}").mkdir(parents=True)
    i2c.buses[bus] = chip
    return chip


def find(locations: list[Location], version: str | None = None) -> ClusterHatPower:
    return asyncio.run(ClusterHatPower.find(locations, version))


def port(power: ClusterHatPower, location: str) -> HubPort:
    return asyncio.run(power.port(Location(location)))


def refused(locations: list[Location], version: str | None = None) -> str:
    with pytest.raises(HostError) as caught:
        find(locations, version)
    return str(caught.value)


# -- v2 and v3: the expander ------------------------------------------------------------------------------


@pytest.mark.parametrize("xra1200p", [True, False])
@pytest.mark.parametrize(("version", "first"), [("2.3", 4), ("2.6", 1), ("3.0", 4), ("3.1", 1)])
def test_each_port_switches_its_own_node(i2c: I2c, xra1200p: bool, version: str, first: int) -> None:
    chip = hat(i2c, xra1200p=xra1200p)
    power = find(SLOTS, version)
    nodes = [1, 2, 3, 4] if first == 1 else [4, 3, 2, 1]
    for location, node in zip(SLOTS, nodes, strict=True):
        switch = port(power, location)
        assert switch.backend == "clusterhat"
        assert switch.why == f"{location} is node {node} of the Cluster HAT v{version}"
        assert switch.affects() == {location}
        before = chip.pins()
        asyncio.run(switch.switch(True))
        assert chip.pins() == before | 1 << node - 1
        assert asyncio.run(switch.powered()) is True
        asyncio.run(switch.switch(False))
        assert chip.pins() == before
        assert asyncio.run(switch.powered()) is False
    assert i2c.opened == 0


@pytest.mark.parametrize("xra1200p", [True, False])
@pytest.mark.parametrize("version", ["2.0", "2.3", "3.1"])
@pytest.mark.parametrize(("outside", "nodes"), [(OFF, 0), (CUT, 0x0F)])
def test_a_fresh_board_is_set_up_and_no_node_loses_or_gets_power_by_it(
    i2c: I2c, xra1200p: bool, version: str, outside: list[int | None], nodes: int
) -> None:
    chip = hat(i2c, outside, xra1200p)
    find(SLOTS, version)
    assert {levels & 0x0F for levels in chip.levels} == {nodes}
    assert chip.registers[boards.DIRECTION] == 0
    assert chip.pins() == boards.first_output(boards.parse(version), nodes)


@pytest.mark.parametrize("output", [0b1001_0101, 0b0010_1010])
def test_a_board_that_is_set_up_is_left_as_it_is(i2c: I2c, output: int) -> None:
    chip = hat(i2c, CUT)
    chip.registers |= {boards.OUTPUT: output, boards.DIRECTION: 0, boards.PULL_UP: 0x7F}
    chip.levels = [output]
    before = dict(chip.registers)
    power = find(SLOTS, "2.6")
    assert chip.registers == before
    assert [asyncio.run(port(power, at).powered()) for at in SLOTS] == [
        bool(output >> bit & 1) for bit in range(4)
    ]
    assert chip.levels == [output]


@pytest.mark.parametrize(("outside", "pull_ups"), [(OFF, 0x7F), (SOLDERED, 0xFF)])
def test_the_makers_tool_still_knows_whether_the_eeprom_is_protected_by_solder(
    i2c: I2c, outside: list[int | None], pull_ups: int
) -> None:
    chip = hat(i2c, outside)
    find(SLOTS, "2.3")
    assert chip.registers[boards.PULL_UP] == pull_ups


def test_two_nodes_at_once_do_not_undo_each_other(i2c: I2c) -> None:
    chip = hat(i2c)
    power = find(SLOTS, "2.6")

    async def two_at_once(on: bool) -> None:
        ports = [await power.port(location) for location in SLOTS[:2]]
        await asyncio.gather(*(switch.switch(on) for switch in ports))

    for on in (True, False):
        i2c.meet = threading.Barrier(2)
        asyncio.run(two_at_once(on))
        assert chip.pins() & 0x0F == 0x03 * on


def test_a_pin_that_does_not_follow_is_a_power_error(i2c: I2c) -> None:
    chip = hat(i2c)
    power = find(SLOTS, "2.6")
    chip.stuck = 0b0010
    with pytest.raises(PowerError) as caught:
        asyncio.run(port(power, "1-1.2.2").switch(True))
    assert str(caught.value) == "node 2 of the Cluster HAT v2.6 still reads no power after it was switched"
    asyncio.run(port(power, "1-1.2.1").switch(True))


def test_a_board_that_stops_answering(i2c: I2c) -> None:
    hat(i2c)
    power = find(SLOTS, "2.6")
    i2c.broken = True
    assert asyncio.run(port(power, "1-1.2.1").powered()) is None
    with pytest.raises(PowerError, match=r"^the Cluster HAT v2\.6 does not answer on /dev/i2c-1: Remote I/O"):
        asyncio.run(port(power, "1-1.2.1").switch(False))
    assert i2c.opened == 0


@pytest.mark.parametrize(("version", "bit"), [((2, 0), 0), ((2, 3), 1), ((3, 1), 1)])
def test_a_reset_takes_the_hub_away_and_back_and_cuts_no_node(
    i2c: I2c, version: boards.Version, bit: int
) -> None:
    chip = hat(i2c, CUT)
    find(SLOTS, f"{version[0]}.{version[1]}")
    on = chip.pins()
    chip.levels = [on]
    asyncio.run(Expander(version).reset_hub())
    assert chip.levels == [on, on & ~0x20 | bit << 5, on]


# -- which board it is ------------------------------------------------------------------------------------


def test_the_eeprom_tells_the_version(i2c: I2c, tmp_path: Path) -> None:
    hat(i2c)
    eeprom(tmp_path, "0x0026")
    assert port(find(SLOTS), "1-1.2.3").why == "1-1.2.3 is node 3 of the Cluster HAT v2.6"


def test_a_version_in_the_configuration_wins_over_the_eeprom(i2c: I2c, tmp_path: Path) -> None:
    hat(i2c)
    eeprom(tmp_path, "0x0026")
    assert port(find(SLOTS, "2.3"), "1-1.2.3").why == "1-1.2.3 is node 2 of the Cluster HAT v2.3"


@pytest.mark.parametrize("product", [None, "Sense HAT"])
def test_no_board_at_all(i2c: I2c, tmp_path: Path, product: str | None) -> None:
    if product:
        eeprom(tmp_path, "0x0026", product)
    assert refused(SLOTS[:2]) == (
        "no Cluster HAT or Cluster CTRL found for 1-1.2.1, 1-1.2.2; if a HAT's EEPROM is empty, "
        'name its version, as in [power.clusterhat] version = "2.3"'
    )
    assert i2c.calls == []


@pytest.mark.parametrize("ids", ["05e3:0608", "3171:0040", "3171:0041"])
def test_its_own_hubs_are_taken(i2c: I2c, tmp_path: Path, ids: str) -> None:
    hat(i2c)
    usb(tmp_path, HUB, *ids.split(":"))
    find(SLOTS, "2.3")


def test_another_hub_is_refused_before_anything_is_switched(i2c: I2c, tmp_path: Path) -> None:
    hat(i2c)
    usb(tmp_path, HUB, "2109", "3431")
    assert refused(SLOTS, "2.3") == "1-1.2 is no Cluster HAT but a hub 2109:3431; correct the configuration"
    assert i2c.calls == []


def test_slots_of_two_hubs_are_not_one_board(i2c: I2c) -> None:
    hat(i2c)
    assert refused([*SLOTS, Location("1-1.4.1")], "2.3") == (
        "a Cluster HAT is one hub, but slots on it are at 1-1.2, 1-1.4"
    )


def test_a_port_without_a_node(i2c: I2c) -> None:
    hat(i2c)
    assert refused([Location("1-1.2.5")], "2.3") == (
        "a Cluster HAT has no node at port 5, as 1-1.2.5 would be"
    )


@pytest.mark.usefixtures("i2c")
def test_a_bus_that_is_not_there() -> None:
    assert refused(SLOTS, "2.3") == (
        "the Cluster HAT v2.3 does not answer on /dev/i2c-1: No such file or directory; "
        "see docs/power.md for what such a board needs"
    )


@pytest.mark.usefixtures("i2c")
def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbus2", None)
    assert refused(SLOTS, "2.3") == (
        "the Cluster HAT v2.3 needs the Python package smbus2: "
        "apt install python3-smbus2, or pip install 'terrible[clusterhat]'"
    )


# -- v1: pins ---------------------------------------------------------------------------------------------


@pytest.fixture
def pins(i2c: I2c, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[int, Pin]:
    """The header of a head with a v1, whose node 3 runs."""
    assert i2c.buses == {}
    made = {line: Pin(output=True, level=int(line == 19)) for line in (5, 6, 13, 19, 26)}
    (tmp_path / "gpiochip0").touch()
    chip = str(tmp_path / "gpiochip0")
    monkeypatch.setattr(gpio, "CHIPS", tmp_path)
    monkeypatch.setattr(gpio, "PERSIST", tmp_path / "persist")
    module = Head({chip: made}, {chip: "pinctrl-bcm2835"}).module()
    monkeypatch.setitem(sys.modules, "gpiod", module)
    monkeypatch.setitem(sys.modules, "gpiod.line", module.line)
    return made


def test_v1_switches_pins_and_needs_no_i2c(
    pins: dict[int, Pin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "smbus2", None)
    eeprom(tmp_path, "0x0013")
    power = find(SLOTS)
    assert [asyncio.run(port(power, at).powered()) for at in SLOTS] == [False, True, False, False]
    asyncio.run(port(power, "1-1.2.4").switch(True))  # node 1
    asyncio.run(port(power, "1-1.2.1").switch(True))  # node 4
    asyncio.run(port(power, "1-1.2.1").switch(False))
    assert {line: pin.levels for line, pin in pins.items()} == {
        5: [0],
        6: [0, 1],
        13: [0],
        19: [1],
        26: [0, 1, 0],
    }


def test_v1_with_a_pin_that_does_not_follow(pins: dict[int, Pin]) -> None:
    power = find(SLOTS, "1.3")
    pins[19].stuck = True
    with pytest.raises(PowerError, match=r"^node 3 of the Cluster HAT v1\.3 still reads power"):
        asyncio.run(port(power, "1-1.2.2").switch(False))


@pytest.mark.usefixtures("pins")
def test_v1_cannot_switch_its_hub() -> None:
    with pytest.raises(PowerError, match=r"^the hub of a Cluster HAT v1\.3 cannot be switched$"):
        asyncio.run(Pins((1, 3)).reset_hub())


# -- Cluster CTRL -----------------------------------------------------------------------------------------

ON_CTRL = [Location("1-1.3.4"), Location("1-1.3.2.1"), Location("1-1.3.1")]


def test_a_ctrl_tells_itself_where_its_nodes_are(i2c: I2c, tmp_path: Path) -> None:
    chip = ctrl(i2c, tmp_path)
    power = find(ON_CTRL)
    for node, location in enumerate(ON_CTRL, start=1):
        switch = port(power, location)
        assert switch.why == f"{location} is node {node} of the Cluster CTRL at 1-1.3.5"
        assert asyncio.run(switch.powered()) is False
        asyncio.run(switch.switch(True))
        assert [n for n, on in enumerate(chip.power) if on] == [node]
        assert asyncio.run(switch.powered()) is True
        asyncio.run(switch.switch(False))
        assert chip.power == [False] * 4
    assert i2c.opened == 0


def test_a_hat_and_two_ctrls_side_by_side(i2c: I2c, tmp_path: Path) -> None:
    chip, first = hat(i2c), ctrl(i2c, tmp_path)
    second = ctrl(i2c, tmp_path, hub="1-1.4", bus=12)
    power = find([SLOTS[0], ON_CTRL[0], Location("1-1.4.1")], "2.3")
    for location in (SLOTS[0], ON_CTRL[0], "1-1.4.1"):
        asyncio.run(port(power, location).switch(True))
    assert chip.pins() & 0x0F == 0b1000
    assert (first.power, second.power) == ([False, True, False, False], [False, False, False, True])


def test_finding_a_ctrl_switches_nothing(i2c: I2c, tmp_path: Path) -> None:
    chip = ctrl(i2c, tmp_path)
    chip.power = [False, True, False, True]
    power = find(ON_CTRL)
    assert [asyncio.run(port(power, at).powered()) for at in ON_CTRL] == [True, False, True]
    assert chip.power == [False, True, False, True]


def test_a_replugged_ctrl_is_found_on_its_new_bus(i2c: I2c, tmp_path: Path) -> None:
    chip = ctrl(i2c, tmp_path)
    power = find(ON_CTRL)
    old = tmp_path / "devices/1-1.3.5:1.0/i2c-11"
    old.rename(old.with_name("i2c-14"))
    i2c.buses = {14: chip}
    asyncio.run(port(power, "1-1.3.4").switch(True))
    assert chip.power[1]


def test_a_ctrl_that_is_gone(i2c: I2c, tmp_path: Path) -> None:
    ctrl(i2c, tmp_path)
    power = find(ON_CTRL)
    (tmp_path / "devices/1-1.3.5:1.0/i2c-11").rmdir()
    assert asyncio.run(port(power, "1-1.3.4").powered()) is None
    with pytest.raises(PowerError, match=r"^the Cluster CTRL at 1-1\.3\.5 has no I2C bus; is it plugged in"):
        asyncio.run(port(power, "1-1.3.4").switch(False))


def test_a_ctrl_that_the_kernel_does_not_drive_stops_the_start(i2c: I2c, tmp_path: Path) -> None:
    ctrl(i2c, tmp_path)
    (tmp_path / "devices/1-1.3.5:1.0/i2c-11").rmdir()
    assert refused(ON_CTRL).startswith(
        "the Cluster CTRL at 1-1.3.5 has no I2C bus; is it plugged in, and bound"
    )


def test_a_ctrl_that_is_not_where_it_says_stops_the_start(i2c: I2c, tmp_path: Path) -> None:
    ctrl(i2c, tmp_path).paths[0] = [6]
    assert refused(ON_CTRL).startswith(
        "Cluster CTRL at 1-1.3.5: it says that it is at port 6 of its hub, but it is at 1-1.3.5; see"
    )


def test_a_ctrl_that_does_not_do_as_told(i2c: I2c, tmp_path: Path) -> None:
    chip = ctrl(i2c, tmp_path)
    chip.power[1] = chip.deaf = True
    with pytest.raises(PowerError) as caught:
        asyncio.run(port(find(ON_CTRL), "1-1.3.4").switch(False))
    assert str(caught.value) == (
        "node 1 of the Cluster CTRL at 1-1.3.5 still reads power after it was switched"
    )


def test_a_lost_answer_to_a_switch_is_no_failure_if_the_node_followed(i2c: I2c, tmp_path: Path) -> None:
    chip = ctrl(i2c, tmp_path)
    power = find(ON_CTRL)
    chip.lossy = True
    asyncio.run(port(power, "1-1.3.4").switch(True))
    assert chip.power[1]


def test_a_ctrl_that_stops_answering(i2c: I2c, tmp_path: Path) -> None:
    ctrl(i2c, tmp_path)
    power = find(ON_CTRL)
    i2c.broken = True
    assert asyncio.run(port(power, "1-1.3.4").powered()) is None
    with pytest.raises(PowerError, match=r"^the Cluster CTRL at 1-1\.3\.5 does not answer on /dev/i2c-11"):
        asyncio.run(port(power, "1-1.3.4").switch(True))


def test_a_ctrl_resets_its_hub_for_a_second(i2c: I2c, tmp_path: Path) -> None:
    chip = ctrl(i2c, tmp_path)
    asyncio.run(Ctrl("1-1.3.5").reset_hub())
    assert chip.hub_cycles == [100]
    assert i2c.opened == 0


# -- the model against the real package -------------------------------------------------------------------


def test_every_call_fits_the_real_package(i2c: I2c, tmp_path: Path) -> None:
    real: Any = real_smbus2()
    hat(i2c)
    ctrl(i2c, tmp_path)
    power = find([SLOTS[0], ON_CTRL[0]], "2.3")
    for location in (SLOTS[0], ON_CTRL[0]):
        asyncio.run(port(power, location).switch(True))
    assert {name for name, _, _ in i2c.calls} == {
        "__init__",
        "read_byte_data",
        "write_byte_data",
        "read_i2c_block_data",
    }
    for name, args, kwargs in i2c.calls:
        inspect.signature(getattr(real.SMBus, name)).bind(None, *args, **kwargs)


def test_the_real_package_finds_no_bus_and_says_so(i2c: I2c, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbus2", real_smbus2())
    monkeypatch.setattr(boards, "I2C_BUS", 9999)
    assert refused(SLOTS, "2.3").startswith(
        "the Cluster HAT v2.3 does not answer on /dev/i2c-9999: No such file or directory; see"
    )
    assert i2c.calls == []


def real_smbus2() -> Any:
    """The package itself, past the model in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "smbus2", raising=False)
        try:
            return importlib.import_module("smbus2")
        except ImportError:
            if os.environ.get("REQUIRE_ALL") == "1":
                raise
            pytest.skip("smbus2 is not installed")
