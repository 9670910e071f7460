"""A made sysfs tree, with real directories, links and files as the kernel lays them out."""

from __future__ import annotations

import os
from pathlib import Path

from terrible.model import Location
from terrible.power.topology import disable_attribute

CONTROLLER = Path("devices/pci0000:00/0000:00:01.0")


class Tree:
    """Bus 1 with a hub at 1-1 (4 ports), and the SuperSpeed bus 2."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bus/usb/devices").mkdir(parents=True)
        self.hub("usb1", CONTROLLER / "usb1", ports=2, speed="480")
        self.hub("usb2", CONTROLLER / "usb2", ports=2, speed="5000")
        self.hub("1-1", CONTROLLER / "usb1/1-1", ports=4, speed="12")

    def hub(self, name: str, path: Path, ports: int, speed: str, **attributes: str) -> None:
        self.device(name, path, maxchild=str(ports), speed=speed, **attributes)
        interface = f"{name[3:]}-0:1.0" if name.startswith("usb") else f"{name}:1.0"
        self._link(interface, path / interface)
        for port in range(1, ports + 1):
            attribute = self.root / path / interface / f"{name}-port{port}/disable"
            attribute.parent.mkdir()
            attribute.write_text("0\n")
            attribute.with_name("over_current_count").write_text("0\n")

    def device(self, name: str, path: Path, **attributes: str) -> None:
        self._link(name, path)
        for attribute, value in {"devnum": "1", **attributes}.items():
            (self.root / path / attribute).write_text(f"{value}\n")

    def plug(self, location: str, devnum: int) -> None:
        self.device(location, CONTROLLER / "usb1/1-1" / location, devnum=str(devnum), maxchild="0")

    def unplug(self, location: str) -> None:
        link = self.root / "bus/usb/devices" / location
        for file in link.resolve().iterdir():
            file.unlink()
        link.resolve().rmdir()
        link.unlink()

    def disable(self, location: str) -> Path:
        path = self.root / disable_attribute(Location(location))
        return path.parent.parent.resolve() / path.parent.name / path.name

    def overcurrents(self, location: str) -> Path:
        return self.disable(location).with_name("over_current_count")

    def peers(self, one: str, other: str) -> None:
        """Link two ports both ways, as port.c: link_peers does."""
        ports = [self.disable(location).parent.resolve() for location in (one, other)]
        for port, peer in (ports, reversed(ports)):
            (port / "peer").symlink_to(os.path.relpath(peer, port))

    def board(self, *compatible: str) -> None:
        """Give the machine a device tree."""
        base = self.root / "firmware/devicetree/base"
        base.mkdir(parents=True)
        (base / "compatible").write_text("".join(f"{word}\0" for word in compatible))

    def _link(self, name: str, path: Path) -> None:
        (self.root / path).mkdir(parents=True, exist_ok=True)
        (self.root / "bus/usb/devices" / name).symlink_to(Path("../../..") / path)
