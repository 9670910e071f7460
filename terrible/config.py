"""Everything that can be configured, as pydantic models: the keys, what is allowed, and what follows."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from terrible import commands, controllers
from terrible.limits import Limits
from terrible.model import Location, Slot
from terrible.net import addresses
from terrible.net.shutdown import SSH
from terrible.net_config import NetConfig
from terrible.power_config import Backend, PowerConfig
from terrible.texts import fitting

RESERVED = frozenset({"all"})

Name = Annotated[
    str,
    Field(max_length=63),
    fitting(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "a name has only a-z and 0-9, and dashes between them"),
]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


def _checked(argv: tuple[str, ...]) -> tuple[str, ...]:
    commands.check(argv)
    return argv


Argv = Annotated[tuple[str, ...], AfterValidator(_checked)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class SlotConfig(_Table):
    """One slot spelled out. `number` defaults to its place in the list, `power` to `[power] backend`."""

    name: Name
    location: str
    number: Annotated[int, Field(strict=True, ge=1, le=240)] | None = None
    profile: Name | None = None
    power: Backend | None = None
    shutdown: Argv | None = None
    watchdog: Annotated[bool, Field(strict=True)] | None = None

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError("this name is reserved: it stands for every slot")
        return name

    @field_validator("location")
    @classmethod
    def _is_location(cls, location: str) -> str:
        return Location(controllers.kernel_name(location))


class MqttConfig(_Table):
    """The broker. `key_file` is needed where the key is not in `cert_file` as well."""

    host: str = "localhost"
    port: Port = 1883
    username: str | None = None
    username_file: Path | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.username is not None and self.username_file is not None:
            raise ValueError("either username or username_file, not both")
        for key in ("ca_file", "cert_file", "key_file"):
            if getattr(self, key) is not None and not self.tls:
                raise ValueError(f"{key} is for tls = true; without it all goes over the net in clear")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file is the key of cert_file, which is missing")
        return self


class HomeAssistantConfig(_Table):
    """Whether Home Assistant is told of the cluster, and its discovery prefix."""

    discovery: Annotated[bool, Field(strict=True)] = True
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=200)] = (
        "homeassistant"
    )


class FilesConfig(_Table):
    """Where boot files are looked for; `firmware` takes bootcode, start and fixup files from elsewhere.

    `mass_storage` is the firmware by which a Pi shows its card, and `images` what may be written to cards.
    """

    directory: Path = Path("/var/lib/terrible/boot")
    firmware: Path | None = None
    profiles: Path | None = None
    mass_storage: Path | None = None
    images: Path = Path("/var/lib/terrible/images")


class Config(_Table):
    """Everything that can be set. The smallest useful file is `hub = "1-1"` and `ports = 4`."""

    cluster: Name = Field(default_factory=lambda: slug(socket.gethostname()))
    hub: str | None = None
    ports: Annotated[int, Field(strict=True, ge=1, le=31)] | None = None
    slots: tuple[SlotConfig, ...] = ()
    subnet: str | None = None
    shutdown: Argv = SSH
    watchdog: Annotated[bool, Field(strict=True)] = False
    state_directory: Path = Path("/var/lib/terrible")
    mqtt: MqttConfig = MqttConfig()
    homeassistant: HomeAssistantConfig = HomeAssistantConfig()
    files: FilesConfig = FilesConfig()
    power: PowerConfig = PowerConfig()
    net: NetConfig = NetConfig()
    limits: Limits = Limits()

    @field_validator("hub")
    @classmethod
    def _is_hub(cls, hub: str | None) -> str | None:
        if hub is None:
            return None
        hub = controllers.kernel_name(hub)
        Location(port_location(hub, 1))
        return hub

    @field_validator("subnet")
    @classmethod
    def _is_subnet(cls, subnet: str | None) -> str | None:
        if subnet is None:
            return None
        addresses.check(subnet)
        return str(IPv4Interface(subnet))  # as `ip` writes it: a mask may have been written in full

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
        self._check_net()
        self.power.check(self.backends())
        return self

    @property
    def configured(self) -> bool:
        """Whether any slot is configured; without one the agent serves any Pi and switches no power."""
        return bool(self._spelled_out())

    @property
    def subnets(self) -> tuple[str, ...]:
        """The subnets that the cluster may get, the first that is free; one where it is configured."""
        guests = self.net.guests
        fitting = (self.subnet,) if self.subnet else addresses.SUBNETS
        return tuple(one for one in fitting if guests is None or addresses.has_room(one, guests))

    def named_slots(self, subnet: str | None = None) -> list[Slot]:
        """The slots with everything that follows from their number, in the subnet that was chosen."""
        return [
            self.slot(s.name, s.number or 0, Location(s.location), s.profile, s.watchdog, subnet)
            for s in self._spelled_out()
        ]

    def only(self, names: Collection[str]) -> Config:
        """The same cluster with these slots alone."""
        chosen = tuple(slot for slot in self._spelled_out() if slot.name in names)
        return self.model_copy(update={"hub": None, "ports": None, "slots": chosen})

    def backends(self) -> dict[str, Backend]:
        """How each slot is to be switched, by its name."""
        return {slot.name: slot.power or self.power.backend for slot in self._spelled_out()}

    def shutdowns(self) -> dict[str, tuple[str, ...]]:
        """What ends the node of each slot in order, by the slot's name; empty where nothing is to."""
        return {
            slot.name: self.shutdown if slot.shutdown is None else slot.shutdown
            for slot in self._spelled_out()
        }

    def slot(
        self,
        name: str,
        number: int,
        location: Location,
        profile: str | None = None,
        watchdog: bool | None = None,
        subnet: str | None = None,
    ) -> Slot:
        """A slot of this cluster; what is None follows from the cluster."""
        return Slot(
            name,
            number,
            location,
            addresses.mac(self.cluster, number),
            addresses.host_mac(self.cluster, number),
            addresses.address(subnet or self.subnet or addresses.SUBNETS[0], number),
            profile or "",
            self.watchdog if watchdog is None else watchdog,
            self.net.gadget,
        )

    def _check_net(self) -> None:
        if not self.subnets:
            raise ValueError(f"net.guests = {self.net.guests!r}: this range is not inside the subnet")
        names = {slot.name for slot in self._spelled_out()}
        for forward in self.net.parsed_forwards():
            if forward.slot not in names:
                raise ValueError(f"net.forwards: there is no slot {forward.slot}")

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
