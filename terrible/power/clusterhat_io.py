"""Talking to Cluster HAT v1 (GPIO), v2 and v3 (an expander on I2C), and Cluster CTRL (I2C over USB).

All of it blocks and so runs in threads. A change is several transfers: a lock keeps those of two nodes apart.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from terrible.errors import HostError, PowerError
from terrible.model import Location
from terrible.power import clusterhat_boards as boards
from terrible.power import gpio
from terrible.power.clusterhat_boards import I2C_ADDRESS, Version

DEVICES = Path("/sys/bus/usb/devices")
HUB_OFF = 1.0
"""Seconds that a reset leaves the hub of a HAT off (clusterctrl:389, CLUSTERCTRL_DELAY)."""


class Board(Protocol):
    """What switches nodes, counted from 1. PowerError where it does not do as told, or does not answer."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    async def set(self, node: int, on: bool) -> None:
        """Switch and verify."""

    async def get(self, node: int) -> bool:
        """Whether the node has power."""

    async def reset_hub(self) -> None:
        """Take USB from every node for a moment; their power stays."""


class Pins:
    """A Cluster HAT v1: one line of the header for each node."""

    def __init__(self, version: Version) -> None:
        self.name = _hat_name(version)
        self._lines = gpio.Lines(gpio.header(), boards.PINS, active_low=False)

    async def set(self, node: int, on: bool) -> None:
        try:
            done = await self._lines.set(boards.PINS[node - 1], on)
        except OSError as error:
            raise PowerError(f"{self.name}: {error.strerror}") from error
        if not done:
            raise PowerError(_unmoved(self.name, node, on))

    async def get(self, node: int) -> bool:
        try:
            return await self._lines.get(boards.PINS[node - 1])
        except OSError as error:
            raise PowerError(f"{self.name}: {error.strerror}") from error

    async def reset_hub(self) -> None:
        raise PowerError(f"the hub of a {self.name} cannot be switched")  # clusterctrl:841


class Expander:
    """A Cluster HAT v2 or v3."""

    def __init__(self, version: Version) -> None:
        self.name = _hat_name(version)
        self._version = version
        self._lock = threading.Lock()

    async def set_up(self) -> None:
        """Make its pins outputs, unless somebody has: nodes that run keep their power."""
        await asyncio.to_thread(self._set_up)

    async def set(self, node: int, on: bool) -> None:
        bit = boards.node_bit(node)
        levels = await asyncio.to_thread(self._change, lambda old: old | bit if on else old & ~bit)
        if bool(levels & bit) is not on:
            raise PowerError(_unmoved(self.name, node, on))

    async def get(self, node: int) -> bool:
        return bool(await asyncio.to_thread(self._levels) & boards.node_bit(node))

    async def reset_hub(self) -> None:
        await asyncio.to_thread(self._reset_hub)

    def _set_up(self) -> None:
        with self._lock, _bus(self.name, boards.I2C_BUS) as bus:
            if bus.read_byte_data(I2C_ADDRESS, boards.DIRECTION) != boards.ALL_INPUTS:
                return
            levels = bus.read_byte_data(I2C_ADDRESS, boards.INPUT)
            _mark_link(bus)
            bus.write_byte_data(I2C_ADDRESS, boards.OUTPUT, boards.first_output(self._version, levels))
            bus.write_byte_data(I2C_ADDRESS, boards.DIRECTION, 0)

    def _change(self, change: Callable[[int], int]) -> int:
        """Change the output register; the levels of the pins after that."""
        with self._lock, _bus(self.name, boards.I2C_BUS) as bus:
            old = bus.read_byte_data(I2C_ADDRESS, boards.OUTPUT)
            bus.write_byte_data(I2C_ADDRESS, boards.OUTPUT, change(old))
            return int(bus.read_byte_data(I2C_ADDRESS, boards.INPUT))

    def _levels(self) -> int:
        with self._lock, _bus(self.name, boards.I2C_BUS) as bus:
            return int(bus.read_byte_data(I2C_ADDRESS, boards.INPUT))

    def _reset_hub(self) -> None:
        self._change(lambda old: boards.with_hub(self._version, old, on=False))
        time.sleep(HUB_OFF)  # in a thread, for nobody can cancel that with the hub off
        self._change(lambda old: boards.with_hub(self._version, old, on=True))


class Ctrl:
    """A Cluster CTRL; its I2C bus is found again each time, for its number changes when it is replugged."""

    def __init__(self, controller: str) -> None:
        self.name = f"Cluster CTRL at {controller}"
        self._controller = controller
        self._lock = threading.Lock()

    async def locations(self) -> list[Location]:
        """Where its nodes are, in their order."""
        try:
            return await asyncio.to_thread(self._locations)
        except ValueError as error:
            raise PowerError(f"{self.name}: {error}") from error

    async def set(self, node: int, on: bool) -> None:
        if await asyncio.to_thread(self._set, node, on) is not on:
            raise PowerError(_unmoved(self.name, node, on))

    async def get(self, node: int) -> bool:
        return await asyncio.to_thread(self._get, node)

    async def reset_hub(self) -> None:
        await asyncio.to_thread(self._reset_hub)

    def _locations(self) -> list[Location]:
        with self._lock, self._open() as bus:
            count = bus.read_byte_data(I2C_ADDRESS, boards.CTRL_NODES)
            own, *nodes = [self._path(bus, node) for node in range(count + 1)]
        return [boards.ctrl_location(self._controller, own, node) for node in nodes]

    def _path(self, bus: Any, node: int) -> list[int]:
        _command(bus, boards.CTRL_PATH, node)
        return list(bus.read_i2c_block_data(I2C_ADDRESS, boards.CTRL_DATA7, 8))

    def _set(self, node: int, on: bool) -> bool:
        """Its answer to a switch may be lost (clusterctrl:202-205); its answer to the question counts."""
        with self._lock, self._open() as bus:
            with suppress(OSError):
                _command(bus, boards.CTRL_ON if on else boards.CTRL_OFF, node)
            return _has_power(bus, node)

    def _get(self, node: int) -> bool:
        with self._lock, self._open() as bus:
            return _has_power(bus, node)

    def _reset_hub(self) -> None:
        """The controller sits on that hub, and is gone before it can answer."""
        with self._lock, self._open() as bus, suppress(OSError):
            _command(bus, boards.CTRL_HUB_CYCLE, boards.CTRL_HUB_OFF)

    def _open(self) -> Any:
        """Its bus: the kernel's i2c-tiny-usb makes one for each board (clusterctrl:222-229)."""
        buses = list(DEVICES.glob(f"{self._controller}:*/i2c-*"))
        if not buses:
            raise PowerError(
                f"the {self.name} has no I2C bus; is it plugged in, and bound to i2c-tiny-usb by udev?"
            )
        return _bus(self.name, int(buses[0].name.removeprefix("i2c-")))


def attribute(device: str, name: str) -> str:
    """An attribute of a USB device, empty where there is no such device."""
    try:
        return (DEVICES / device / name).read_text().strip()
    except OSError:
        return ""


@contextmanager
def _bus(board: str, number: int) -> Iterator[Any]:
    """An I2C bus; what goes wrong on it is a PowerError, HostError without the package."""
    try:
        import smbus2
    except ImportError as error:
        remedy = "apt install python3-smbus2, or pip install 'terrible[clusterhat]'"
        raise HostError(f"the {board} needs the Python package smbus2: {remedy}") from error
    try:
        with smbus2.SMBus(number) as bus:
            yield bus
    except OSError as error:
        raise PowerError(f"the {board} does not answer on /dev/i2c-{number}: {error.strerror}") from error


def _command(bus: Any, command: int, data: int) -> None:
    bus.write_byte_data(I2C_ADDRESS, boards.CTRL_DATA0, data)
    bus.write_byte_data(I2C_ADDRESS, boards.CTRL_COMMAND, command)


def _has_power(bus: Any, node: int) -> bool:
    _command(bus, boards.CTRL_STATUS, node)
    return bool(bus.read_byte_data(I2C_ADDRESS, boards.CTRL_DATA0))


def _mark_link(bus: Any) -> None:
    """Leave the pull-up of WRITE_PROTECT on only where a link is soldered, for the maker's tool reads that.

    clusterctrl:476-483 and 508-511. Only an XRA1200P has pull-ups; a PCA9534 refuses the register.
    """
    try:
        bus.read_byte_data(I2C_ADDRESS, boards.PULL_UP)
    except OSError:
        return
    bus.write_byte_data(I2C_ADDRESS, boards.PULL_UP, 0xFF & ~boards.WRITE_PROTECT)
    if bus.read_byte_data(I2C_ADDRESS, boards.INPUT) & boards.WRITE_PROTECT:
        bus.write_byte_data(I2C_ADDRESS, boards.PULL_UP, 0xFF)


def _hat_name(version: Version) -> str:
    return f"Cluster HAT v{version[0]}.{version[1]}"


def _unmoved(board: str, node: int, on: bool) -> str:
    return f"node {node} of the {board} still reads {'no ' * on}power after it was switched"
