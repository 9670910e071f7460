"""What there is to know of every hub and port now, collected for the views of `terrible hubs`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from terrible.errors import HostError, PowerError
from terrible.model import Location, Slot, Stage, Verdict
from terrible.power.hub import Hub, HubControl
from terrible.power.hubclass import HubDescriptor, PortStatus
from terrible.power.topology import Topology, port_of
from terrible.power.verdict import REPORTING
from terrible.seams import Bus, Device, HubPort, Power
from terrible.state import State

DEVICES = Path("bus/usb/devices")


@dataclass(frozen=True, slots=True)
class PortView:
    """One port; None is unknown. `also` loses power with it, `probed` is the last probe's verdict."""

    location: str
    slot: str
    stage: str | None
    ids: str
    product: str
    power: bool | None
    over_current: bool | None
    over_current_count: int | None
    backend: str
    why: str
    also: tuple[str, ...]
    probed: Verdict | None


@dataclass(frozen=True, slots=True)
class HubView:
    """One hub by its kernel name. `switching` None where it does not tell: `problem` says why not."""

    name: str
    ids: str
    product: str
    speed: str
    switching: str | None
    problem: str
    forbidden: bool
    ports: tuple[PortView, ...]


class Survey:
    """Looks at a machine once."""

    def __init__(
        self,
        bus: Bus,
        control: HubControl,
        power: Power,
        slots: list[Slot],
        state: State,
        sysfs: Path = Path("/sys"),
    ) -> None:
        self._bus, self._control, self._power = bus, control, power
        self._slots: Mapping[str, str] = {slot.location: slot.name for slot in slots}
        self._state, self._sysfs, self._topology = state, sysfs, Topology(sysfs)

    async def hubs(self) -> list[HubView]:
        """Every hub, a hub before those behind it."""
        return [await self._hub(name) for name in sorted(self._topology.hubs(), key=natural)]

    async def _hub(self, name: str) -> HubView:
        hub = Hub(name, self._topology.superspeed(name), self._control)
        descriptor: HubDescriptor | None = None
        problem, forbidden = "", False
        try:
            descriptor = await hub.descriptor()
        except PowerError as error:
            problem, forbidden = str(error), isinstance(error.__cause__, HostError)
        present = {device.location: device for device in self._bus.present()}
        ports = [port_of(name, number) for number in range(1, self._topology.ports(name) + 1)]
        views = [await self._port(hub, port, present.get(port), forbidden) for port in ports]
        switching = descriptor.switching.value if descriptor else None
        ids, product, speed = self._ids(name), self._said(name, "product"), self._said(name, "speed")
        return HubView(name, ids, product, speed, switching, problem, forbidden, tuple(views))

    async def _port(self, hub: Hub, at: Location, device: Device | None, forbidden: bool) -> PortView:
        status = None if forbidden else await _status(hub, at.port)
        switch = await self._power.port(at)
        return PortView(
            location=at,
            slot=self._slots.get(at, ""),
            stage=self._stage(at, device),
            ids=self._ids(at),
            product=self._said(at, "product"),
            power=await _powered(switch, status),
            over_current=status.over_current if status else None,
            over_current_count=self._topology.overcurrents(at),
            backend=switch.backend,
            why=switch.why,
            also=tuple(sorted((other for other in switch.affects() if other != at), key=natural)),
            probed=self._state.verdict(at),
        )

    def _stage(self, at: Location, device: Device | None) -> str | None:
        """What sits there: a stage of a Pi, `hub`, or `other`; None for nothing."""
        if self._topology.ports(at):
            return "hub"
        if device is not None:
            return device.stage.value
        return Stage.OTHER.value if self._topology.devnum(at) is not None else None

    def _ids(self, device: str) -> str:
        vendor, product = self._said(device, "idVendor"), self._said(device, "idProduct")
        return f"{vendor}:{product}" if vendor else ""

    def _said(self, device: str, attribute: str) -> str:
        """One line; a product's name may hold anything, also what would rule a terminal."""
        try:
            text = (self._sysfs / DEVICES / device / attribute).read_text(errors="replace").strip()
        except OSError:
            return ""
        return "".join(letter if letter.isprintable() else "?" for letter in text)


async def _status(hub: Hub, port: int) -> PortStatus | None:
    try:
        return await hub.status(port)
    except PowerError:
        return None


async def _powered(switch: HubPort, status: PortStatus | None) -> bool | None:
    """The hub's own word, unless the 5 V are switched behind its back."""
    if switch.backend in REPORTING or switch.backend == "none":
        return status.powered if status else None
    return await switch.powered()


def natural(name: str) -> tuple[int, ...]:
    """Sorts `usb1`, `1-1`, `1-1.2`, `1-1.10`, `usb2`."""
    return tuple(map(int, re.findall(r"\d+", name)))
