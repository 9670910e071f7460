"""The configuration: one TOML file over defaults, `TERRIBLE_…` environment over that.

Tables merge key by key. A key nobody knows, or a value nobody can use, stops the start with one line
that names the file, the key's path, the value and what is allowed.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from terrible.model import HostError, Limits, Location, Slot
from terrible.net import addresses

PREFIX = "TERRIBLE_"
NOT_KEYS = frozenset({"TERRIBLE_CONFIG", "TERRIBLE_BROKER"})
"""Environment that the command line reads for itself."""
RESERVED = frozenset({"all"})
TABLES = frozenset({"mqtt", "files", "limits", "slots"})
LIMITS = tuple(field.name for field in fields(Limits))

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


Fault = tuple[tuple[int | str, ...], str]
"""The path of a key, and what is wrong with its value."""


class ConfigError(HostError):
    """The configuration cannot be used. EX_CONFIG of sysexits.h: systemd does not start us again."""

    exit_code = 78


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class SlotConfig(_Table):
    """One slot spelled out. `number` defaults to its place in the list."""

    name: Name
    location: str
    number: Annotated[int, Field(strict=True, ge=1, le=240)] | None = None
    profile: Name | None = None

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError("this name is reserved: it stands for every slot")
        return name

    @field_validator("location")
    @classmethod
    def _is_location(cls, location: str) -> str:
        return Location(location)


class MqttConfig(_Table):
    """The broker."""

    host: str = "localhost"
    port: Port = 1883
    username: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None


class FilesConfig(_Table):
    """Where boot files are looked for; `firmware` takes bootcode, start and fixup files from elsewhere."""

    directory: Path = Path("/var/lib/terrible/boot")
    firmware: Path | None = None
    profiles: Path | None = None


class Config(_Table):
    """Everything that can be set. The smallest useful file is `hub = "1-1"` and `ports = 4`."""

    cluster: Name = Field(default_factory=lambda: slug(socket.gethostname()))
    hub: str | None = None
    ports: Annotated[int, Field(strict=True, ge=1, le=31)] | None = None
    slots: tuple[SlotConfig, ...] = ()
    subnet: str = "10.42.0.1/24"
    state_directory: Path = Path("/var/lib/terrible")
    mqtt: MqttConfig = MqttConfig()
    files: FilesConfig = FilesConfig()
    limits: Limits = Limits()

    @field_validator("hub")
    @classmethod
    def _is_hub(cls, hub: str | None) -> str | None:
        if hub is not None:
            Location(port_location(hub, 1))
        return hub

    @field_validator("subnet")
    @classmethod
    def _is_subnet(cls, subnet: str) -> str:
        ipaddress.IPv4Interface(subnet)
        addresses.address(subnet, 1)
        return subnet

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.hub is None) != (self.ports is None):
            raise ValueError("hub and ports go together: the hub's location and how many ports it has")
        if self.hub is not None and self.slots:
            raise ValueError("either hub and ports, or [[slots]] spelled out, not both")
        for what in ("name", "location", "number"):
            values = [getattr(slot, what) for slot in self._spelled_out()]
            if twice := {str(value) for value in values if values.count(value) > 1}:
                raise ValueError(f"two slots have the same {what}: {', '.join(sorted(twice))}")
        self.named_slots()  # each must have a place in the subnet
        return self

    @property
    def configured(self) -> bool:
        """Whether any slot is configured; without one the agent serves any Pi and switches no power."""
        return bool(self._spelled_out())

    def named_slots(self) -> list[Slot]:
        """The slots with everything that follows from their number."""
        return [
            self.slot(s.name, s.number or 0, Location(s.location), s.profile) for s in self._spelled_out()
        ]

    def slot(self, name: str, number: int, location: Location, profile: str | None = None) -> Slot:
        """A slot of this cluster."""
        return Slot(
            name,
            number,
            location,
            addresses.mac(self.cluster, number),
            addresses.host_mac(self.cluster, number),
            addresses.address(self.subnet, number),
            profile or "",
        )

    def _spelled_out(self) -> list[SlotConfig]:
        if self.hub is not None and self.ports is not None:
            return [
                SlotConfig(name=f"node{n}", location=port_location(self.hub, n), number=n)
                for n in range(1, self.ports + 1)
            ]
        return [
            slot if slot.number else slot.model_copy(update={"number": place})
            for place, slot in enumerate(self.slots, start=1)
        ]


def port_location(hub: str, port: int) -> str:
    """Port `port` of a hub written as the kernel names it: `1-1` or, for a root hub, `usb1`."""
    return f"{hub[3:]}-{port}" if hub.startswith("usb") else f"{hub}.{port}"


def slug(text: str) -> str:
    """Any text as a name: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].rstrip("-") or "cluster"


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
    except tomllib.TOMLDecodeError:
        return text


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _explain(item: Any) -> str:
    """Key path, value and what is allowed. The value of a table is never shown: it may hold a secret."""
    path = ".".join(map(_printable, item["loc"])) or "(whole file)"
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{path}: unknown key; allowed here: {', '.join(_keys_at(item['loc'][:-1]))}"
    given = item["input"]
    table = bool(item["loc"]) and item["loc"][-1] in TABLES and isinstance(given, str)
    shown = item["loc"] and not table and not isinstance(given, dict | list | BaseModel)
    return f"{path}{f' = {given!r}' if shown else ''}: {item['msg'].removeprefix('Value error, ')}"


def _printable(part: int | str) -> str:
    """A key from a file may be any text; the line that names it stays one line."""
    return str(part) if str(part).isprintable() else repr(part)


def _bad_limits(given: Any, limits: Limits) -> list[Fault]:
    """Limits that are numbers, but no possible waits."""
    faults: list[Fault] = []
    for name in LIMITS:
        value = getattr(limits, name)
        values = value if isinstance(value, tuple) else (value,)
        least = 0 if isinstance(value, tuple) else 1e-9
        possible = all(math.isfinite(one) and one >= least for one in values)
        if not possible or isinstance(given.get(name), bool):
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
    tables: dict[str, Any] = {"mqtt": MqttConfig, "files": FilesConfig, "slots": SlotConfig}
    if path and path[0] == "limits":
        return list(LIMITS)
    table: type[BaseModel] = tables[str(path[0])] if path else Config
    return list(table.model_fields)
