"""USB as far as reading files tells: controllers, hubs, memory, and who may open what."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from terrible.cli.health.finding import Finding, Level
from terrible.cli.health.host import name as user
from terrible.model import Slot
from terrible.power.topology import Topology
from terrible.usb.identify import BROADCOM, CHIPS

SYS = Path("/sys")
DEV = Path("/dev/bus/usb")
ENOUGH = 16
"""Megabytes of usbfs memory: usb/budget.py takes half of the kernel's default."""
_HUB = 0x09
_RIGHTS = "install packaging/70-terrible.rules and run as the user terrible, or run as root"


@dataclass(frozen=True, slots=True)
class Listed:
    """A device as sysfs lists it: a hub or a Pi that wants boot files, or another one."""

    name: str
    hub: bool
    pi: bool
    node: Path
    text: str


def findings(slots: Sequence[Slot]) -> Iterator[Finding]:
    """Controllers first: without one, nothing else is to be said."""
    yield _memory()
    devices = listed()
    if not any(device.name.startswith("usb") for device in devices):
        said = "this machine has no USB host controller"
        remedy = "on a Pi Zero put dtoverlay=dwc2,dr_mode=host into config.txt; give a VM a controller"
        yield Finding(Level.ERROR, "usb", said, remedy)
        return
    yield from _hubs(devices)
    yield from _rights(devices)
    yield from _places(slots, devices)


def listed() -> list[Listed]:
    """Every device that the kernel has; one that leaves just now is left out."""
    found: list[Listed] = []
    for path in sorted((SYS / "bus/usb/devices").glob("*")):
        if ":" in path.name:
            continue  # an interface
        try:
            found.append(_listed(path))
        except (OSError, ValueError):
            continue
    return found


def _listed(path: Path) -> Listed:
    vendor, product, kind = (int(_text(path, key), 16) for key in ("idVendor", "idProduct", "bDeviceClass"))
    node = DEV / f"{int(_text(path, 'busnum')):03d}" / f"{int(_text(path, 'devnum')):03d}"
    try:
        called = _text(path, "product")
    except OSError:
        called = "without a name"
    ids = f"{vendor:04x}:{product:04x} {called}"
    return Listed(path.name, kind == _HUB, vendor == BROADCOM and product in CHIPS, node, ids)


def _text(path: Path, attribute: str) -> str:
    return (path / attribute).read_text(errors="replace").strip()


def _memory() -> Finding:
    """0 is no limit at all (drivers/usb/core/devio.c: usbfs_increase_memory_usage)."""
    file = SYS / "module/usbcore/parameters/usbfs_memory_mb"
    try:
        size = int(file.read_text())
    except (OSError, ValueError):
        return Finding(Level.NOTE, "memory", f"{file} cannot be read: is there USB in this kernel?")
    if size == 0 or size >= ENOUGH:
        return Finding(Level.OK, "memory", f"usbfs may use {f'{size} MB' if size else 'all memory'}")
    said = f"usbfs may use {size} MB for all nodes together: transfers wait for each other"
    return Finding(Level.WARNING, "memory", said, f"echo {ENOUGH} | sudo tee {file}")


def _hubs(devices: list[Listed]) -> Iterator[Finding]:
    topology = Topology(SYS)
    for hub in devices:
        if hub.hub:
            ports, used = topology.ports(hub.name), len(topology.occupied(hub.name))
            yield Finding(Level.OK, "hub", f"{hub.name}: {ports} ports, {used} in use, {hub.text}")


def _rights(devices: list[Listed]) -> Iterator[Finding]:
    """Hubs are opened for their power, and tell before any Pi is there whether the rule is at work."""
    wanted = [device for device in devices if device.hub or device.pi]
    closed = [device for device in wanted if not os.access(device.node, os.R_OK | os.W_OK)]
    if not closed:
        yield Finding(Level.OK, "rights", f"{user()} may open every hub and every Pi that is there")
        return
    nodes = ", ".join(f"{device.node} ({device.name})" for device in closed)
    if not any(device.node.exists() for device in closed):
        remedy = "mount /dev with udev (devtmpfs); give a container /dev/bus/usb"
        yield Finding(Level.ERROR, "rights", f"there is no {nodes}", remedy)
    else:
        yield Finding(Level.ERROR, "rights", f"{user()} may not open {nodes}", _RIGHTS)


def _places(slots: Sequence[Slot], devices: list[Listed]) -> Iterator[Finding]:
    """Slots where no port is: nothing can ever boot there."""
    topology, hubs = Topology(SYS), [device.name for device in devices if device.hub]
    for slot in slots:
        if slot.location.hub not in hubs:
            said = f"{slot.name} is at {slot.location}, but there is no hub {slot.location.hub}"
            remedy = f"plug it in, or correct the configuration; this machine has {', '.join(hubs)}"
            yield Finding(Level.ERROR, "slot", said, remedy)
        elif slot.location.port > (ports := topology.ports(slot.location.hub)):
            said = f"{slot.name} is at {slot.location}, but hub {slot.location.hub} has {ports} ports"
            yield Finding(Level.ERROR, "slot", said, "correct the configuration")
