"""A model of GPIO chips behind the API of the `gpiod` package, as far as the kernel promises it.

What is kept of each pin is its physical level, for that is what a node is powered by. Sources: libgpiod 2.5
(bindings/python/gpiod), Linux Documentation/userspace-api/gpio and drivers/gpio/gpiolib-cdev.c.
"""

from __future__ import annotations

import enum
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any, Self


class Direction(enum.Enum):
    AS_IS = 1
    INPUT = 2
    OUTPUT = 3


class Value(enum.Enum):
    INACTIVE = 0
    ACTIVE = 1


@dataclass
class LineSettings:
    direction: Direction = Direction.AS_IS
    active_low: bool = False
    output_value: Value = Value.INACTIVE


@dataclass
class Pin:
    """One pin: `pull` is its level while it is an input (a relay board's resistor), `levels` all it had."""

    pull: int = 0
    output: bool = False
    level: int = 0
    held_by: str = ""
    stuck: bool = False
    levels: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.drive(self.level if self.output else self.pull)

    def drive(self, level: int) -> None:
        self.level = self.level if self.stuck else level
        if not self.levels or self.levels[-1] != self.level:
            self.levels.append(self.level)


@dataclass
class Head:
    """The chips of a machine by path, and every call made to them."""

    chips: dict[str, dict[int, Pin]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    denied: bool = False
    broken: bool = False
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)

    def module(self) -> ModuleType:
        """What `import gpiod` gives on that machine."""
        gpiod = ModuleType("gpiod")
        vars(gpiod).update(
            Chip=lambda path: _Chip(self, path),
            request_lines=self._request_lines,
            LineSettings=LineSettings,
            line=SimpleNamespace(Direction=Direction, Value=Value),
        )
        return gpiod

    def _request_lines(self, path: str, *args: Any, **kwargs: Any) -> _Request:
        with _Chip(self, path) as chip:
            return chip.request_lines(*args, **kwargs)


class _Chip:
    def __init__(self, head: Head, path: str) -> None:
        if path not in head.chips:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if head.denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        self._head, self._path, self._pins = head, path, head.chips[path]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def get_info(self) -> SimpleNamespace:
        self._head.calls.append(("Chip.get_info", (), {}))
        return SimpleNamespace(label=self._head.labels.get(self._path, ""))

    def request_lines(self, *args: Any, **kwargs: Any) -> _Request:
        self._head.calls.append(("Chip.request_lines", args, kwargs))
        return self._taken(*args, **kwargs)

    def _taken(self, config: dict[Any, LineSettings], consumer: str = "?") -> _Request:
        settings = dict(_each(config))
        for offset in settings:
            if offset not in self._pins:
                raise ValueError("line offset of out range")
            if self._pins[offset].held_by:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        for offset in settings:
            self._pins[offset].held_by = consumer
        request = _Request(self._head, {offset: self._pins[offset] for offset in settings})
        request.configure(settings)
        return request


class _Request:
    def __init__(self, head: Head, pins: dict[int, Pin]) -> None:
        self._head, self._pins = head, pins
        self._settings: dict[int, LineSettings] = {}

    def configure(self, settings: dict[int, LineSettings]) -> None:
        for offset, wanted in settings.items():
            pin = self._pins[offset]
            self._settings[offset] = wanted
            if wanted.direction is Direction.OUTPUT:
                pin.output = True
                pin.drive(wanted.output_value.value ^ wanted.active_low)
            elif wanted.direction is Direction.INPUT:
                pin.output = False
                pin.drive(pin.pull)

    def reconfigure_lines(self, *args: Any, **kwargs: Any) -> None:
        self._head.calls.append(("LineRequest.reconfigure_lines", args, kwargs))
        self.configure(dict(_each(*args, **kwargs)))

    def get_values(self, *args: Any, **kwargs: Any) -> list[Value]:
        self._head.calls.append(("LineRequest.get_values", args, kwargs))
        return [self._value(offset) for offset in args[0]]

    def get_value(self, *args: Any, **kwargs: Any) -> Value:
        self._head.calls.append(("LineRequest.get_value", args, kwargs))
        return self._value(args[0])

    def set_value(self, *args: Any, **kwargs: Any) -> None:
        self._head.calls.append(("LineRequest.set_value", args, kwargs))
        offset, value = args
        self._fail_if_broken()
        if not self._pins[offset].output:  # linereq_set_values: EPERM for what is no output
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self._pins[offset].drive(value.value ^ self._settings[offset].active_low)

    def _value(self, offset: int) -> Value:
        self._fail_if_broken()
        return Value(self._pins[offset].level ^ self._settings[offset].active_low)

    def _fail_if_broken(self) -> None:
        if self._head.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _each(config: dict[Any, LineSettings]) -> Iterable[tuple[int, LineSettings]]:
    for offsets, settings in config.items():
        for offset in offsets if isinstance(offsets, tuple) else (offsets,):
            yield offset, settings
