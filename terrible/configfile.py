"""Where a configuration comes from: one TOML file over the defaults, `TERRIBLE_…` environment over that.

Tables merge key by key. A key nobody knows, or a value nobody can use, stops the start with one line
that names the file, the key's path, the value and what is allowed.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from terrible.config import Config, FilesConfig, HomeAssistantConfig, MqttConfig, SlotConfig
from terrible.errors import HostError
from terrible.limits import Limits
from terrible.net_config import NetConfig
from terrible.power_config import ClusterHatConfig, CommandConfig, GpioConfig, PowerConfig

PREFIX = "TERRIBLE_"
NOT_KEYS = frozenset({"TERRIBLE_CONFIG", "TERRIBLE_BROKER"})
"""Environment that the command line reads for itself."""
TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    (): Config,
    ("mqtt",): MqttConfig,
    ("homeassistant",): HomeAssistantConfig,
    ("files",): FilesConfig,
    ("slots",): SlotConfig,
    ("power",): PowerConfig,
    ("net",): NetConfig,
    ("power", "gpio"): GpioConfig,
    ("power", "command"): CommandConfig,
    ("power", "clusterhat"): ClusterHatConfig,
}
SAID = {"tuple_type": 'must be a list, ["one", "two"]'}
"""What pydantic says in the words of Python, in those of TOML."""
LIMITS = tuple(field.name for field in fields(Limits))

Fault = tuple[tuple[int | str, ...], str]
"""The path of a key, and what is wrong with its value."""


class ConfigError(HostError):
    """The configuration cannot be used. EX_CONFIG of sysexits.h: systemd does not start us again."""

    exit_code = 78


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration from a file, if any, and the environment. Raises ConfigError."""
    values = _read(path) if path is not None else {}
    overrides = _from_environment(environment)
    merged = _merge(values, overrides)
    try:
        config = Config.model_validate(merged)
        faults = _bad_limits(merged.get("limits", {}), config.limits)
    except ValidationError as error:
        faults = [(item["loc"], _explain(item)) for item in error.errors()]
    if faults:
        raise ConfigError("\n".join(f"{_blame(path, loc, overrides)}: {said}" for loc, said in faults))
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a readable file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: values are nested too deeply") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """`TERRIBLE_MQTT__HOST=broker` is `mqtt.host`; a value that reads as TOML is taken as such."""
    tree: dict[str, Any] = {}
    for key, text in sorted(environment.items()):
        if key.startswith(PREFIX) and key not in NOT_KEYS:
            *tables, last = key[len(PREFIX) :].lower().split("__")
            table = tree
            for name in tables:
                table = table.setdefault(name, {})
                if not isinstance(table, dict):
                    raise ConfigError(f"environment: {key} and {PREFIX}{name.upper()} contradict each other")
            table[last] = _value(text)
    return tree


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _explain(item: Any) -> str:
    """Key path, value and what is allowed. The value of a table is never shown: it may hold a secret."""
    path = ".".join(map(_printable, item["loc"]))
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{path}: unknown key; allowed here: {', '.join(_keys_at(item['loc'][:-1]))}"
    said: str = SAID.get(item["type"], item["msg"].removeprefix("Value error, "))
    if not item["loc"]:
        return said
    given = item["input"]
    shown = not isinstance(given, dict | list | BaseModel)
    if isinstance(given, str) and _may_hold_secret(_tables(item["loc"])):
        shown = False
    return f"{path}{f' = {given!r}' if shown else ''}: {said}"


def _tables(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The path of a key without its places in lists."""
    return tuple(part for part in loc if isinstance(part, str))


def _may_hold_secret(path: tuple[str, ...]) -> bool:
    """A table written as one text may be a URL with a password; the words of a command may be one."""
    return path in TABLES or path == ("limits",) or path[:2] == ("power", "command")


def _printable(part: int | str) -> str:
    """A key from a file may be any text; the line that names it stays one line."""
    return str(part) if part != "" and str(part).isprintable() else repr(part)


def _bad_limits(given: Any, limits: Limits) -> list[Fault]:
    """Limits that are numbers, but no possible waits."""
    faults: list[Fault] = []
    for name in LIMITS:
        value = getattr(limits, name)
        values = value if isinstance(value, tuple) else (value,)
        least = 0 if isinstance(value, tuple) else 1e-9
        possible = all(math.isfinite(one) and one >= least for one in values)
        asked = given.get(name)
        each = asked if isinstance(asked, list) else [asked]
        numbers = not any(isinstance(one, bool | str) for one in each)
        if not (possible and numbers):
            shown = given.get(name, value)
            faults.append((("limits", name), f"limits.{name} = {shown!r}: must be a number above 0"))
    return faults


def _blame(path: Path | None, loc: tuple[int | str, ...], overrides: dict[str, Any]) -> str:
    """Where the bad value came from: the environment, if it sets this key, else the file."""
    table: Any = overrides
    for part in loc:
        if not isinstance(table, dict) or part not in table:
            break
        table = table[part]
    else:
        if loc:
            return "environment"
    return "environment" if path is None else str(path)


def _keys_at(path: tuple[int | str, ...]) -> list[str]:
    return list(LIMITS) if path == ("limits",) else list(TABLES[_tables(path)].model_fields)
