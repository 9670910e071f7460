"""I2C devices behind the API of `smbus2`: the expanders of a Cluster HAT, the controller of a Cluster CTRL.

The expanders are made from their datasheets: NXP PCA9534 rev. 3, tables 3-7; Exar XRA1200/1200P rev. 1.0.0,
table 2. The controller answers as the maker's own tool expects it to (clusterctrl, see clusterhat_boards).
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self

ADDRESS = 0x20


class Device(Protocol):
    def read(self, register: int) -> int: ...

    def write(self, register: int, value: int) -> None: ...


@dataclass
class I2c:
    """The buses of a machine by number, one device on each, and every call made to them."""

    buses: dict[int, Device] = field(default_factory=dict)
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    opened: int = 0
    broken: bool = False
    meet: threading.Barrier | None = None
    """Where a read waits for another thread to read too, for a moment."""

    def module(self) -> ModuleType:
        """What `import smbus2` gives on that machine."""
        smbus2 = ModuleType("smbus2")
        vars(smbus2).update(SMBus=lambda *args, **kwargs: _SMBus(self, *args, **kwargs))
        return smbus2


class _SMBus:
    def __init__(self, i2c: I2c, *args: Any, **kwargs: Any) -> None:
        i2c.calls.append(("__init__", args, kwargs))
        (number,) = args
        if number not in i2c.buses:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._i2c, self._device = i2c, i2c.buses[number]

    def __enter__(self) -> Self:
        self._i2c.opened += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._i2c.opened -= 1

    def read_byte_data(self, *args: Any, **kwargs: Any) -> int:
        self._called("read_byte_data", args, kwargs)
        value = self._device.read(args[1])
        if self._i2c.meet is not None:
            with suppress(threading.BrokenBarrierError):
                self._i2c.meet.wait(0.2)
        return value

    def write_byte_data(self, *args: Any, **kwargs: Any) -> None:
        self._called("write_byte_data", args, kwargs)
        self._device.write(args[1], args[2])

    def read_i2c_block_data(self, *args: Any, **kwargs: Any) -> list[int]:
        self._called("read_i2c_block_data", args, kwargs)
        return [self._device.read(args[1] + place) for place in range(args[2])]

    def _called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._i2c.calls.append((name, args, kwargs))
        if args[0] != ADDRESS or self._i2c.broken:
            refuse()


def refuse() -> None:
    """Nobody acknowledges."""
    raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))


class Expander:
    """A PCA9534, or an XRA1200P: input, output, polarity, direction, and the latter's pull-ups.

    `outside` is what drives each pin while it is an input, None where nothing does (a PCA9534 reads that as 0
    here). `levels` are all levels the eight pins had, one byte each.
    """

    def __init__(self, outside: list[int | None], xra1200p: bool) -> None:
        self.outside = outside
        self.stuck = 0
        self.registers = {1: 0xFF, 2: 0x00, 3: 0xFF} | ({4: 0xFF} if xra1200p else {})
        self.levels = [self.pins()]

    def pins(self) -> int:
        output, direction, pull_up = (self.registers.get(number, 0) for number in (1, 3, 4))
        level = 0
        for bit, outside in enumerate(self.outside):
            driven = outside if outside is not None else pull_up >> bit & 1
            level |= (driven if direction >> bit & 1 else output >> bit & 1) << bit
        return level & ~self.stuck | (self.levels[0] & self.stuck if self.stuck else 0)

    def read(self, register: int) -> int:
        if register == 0:
            return self.pins() ^ self.registers[2]
        if register not in self.registers:
            refuse()
        return self.registers[register]

    def write(self, register: int, value: int) -> None:
        if register not in self.registers:
            refuse()
        self.registers[register] = value
        if self.levels[-1] != self.pins():
            self.levels.append(self.pins())


class Controller:
    """Of a Cluster CTRL: registers that a command reads from and answers in. `paths[0]` is its own way."""

    def __init__(self, paths: list[list[int]]) -> None:
        self.paths = paths
        self.power = [False] * len(paths)
        self.deaf = False
        self.lossy = False
        self.hub_cycles: list[int] = []
        self.registers = dict.fromkeys(range(0x0F), 0) | {0x01: len(paths) - 1}

    def read(self, register: int) -> int:
        return self.registers[register]

    def write(self, register: int, value: int) -> None:
        self.registers[register] = value
        if register == 0x0D:
            self._do(value, self.registers[0x0C])

    def _do(self, command: int, node: int) -> None:
        match command:
            case 0x03 | 0x04:
                self.power[node] = self.power[node] if self.deaf else command == 0x03
                if self.lossy:
                    refuse()
            case 0x07:
                self.hub_cycles.append(node)
                refuse()  # it sits on that hub itself
            case 0x0F:
                self.registers[0x0C] = int(self.power[node])
            case 0x11:
                way = [0xFF] * (8 - len(self.paths[node])) + self.paths[node]
                self.registers |= dict(enumerate(way, start=0x05))
            case _:
                raise AssertionError(f"no such command: {command:#x}")
