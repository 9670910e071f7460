"""The network interface of a slot, found by where it sits: names and MACs tell nothing, and change.

A gadget's interface hangs below one of its USB interfaces, `<location>:<configuration>.<number>/net/<name>`
(drivers/net/usb/usbnet.c: SET_NETDEV_DEV).
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from terrible.model import Location
from terrible.usb.identify import is_gadget

USB = Path("/sys/bus/usb/devices")
NET = Path("/sys/class/net")
_IFF_UP = 1
"""linux/if.h."""
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
"""linux/sockios.h, netdevice(7): a `struct ifreq` is a name, and a `struct sockaddr_in` in return."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What sysfs says of an interface now. `bridge` is the one it is a port of, empty if none."""

    name: str
    index: int
    mac: str
    bridge: str
    carrier: bool
    up: bool = True


def at(location: Location) -> Interface | None:
    """The interface of the gadget at a location; None where there is none (yet), or what is there is no Pi.

    An Ethernet adapter in a slot's port may be the head's own way out.
    """
    return at_each([location]).get(location)


def at_each(locations: Iterable[Location]) -> dict[Location, Interface]:
    """The same for many, with one look at the bus; where there is none is left out."""
    functions = _functions()
    found = ((location, _gadget(USB / location, functions.get(location, []))) for location in locations)
    return {location: interface for location, interface in found if interface is not None}


def _functions() -> dict[str, list[Path]]:
    """The USB interfaces of each device, by where that sits."""
    found: dict[str, list[Path]] = {}
    for path in sorted(USB.glob("*:*")):
        found.setdefault(path.name.partition(":")[0], []).append(path)
    return found


def _gadget(device: Path, functions: list[Path]) -> Interface | None:
    """What hangs below one of these, if their device is a gadget."""
    for path in (path for function in functions for path in sorted(function.glob("net/*"))):
        try:
            if _is_gadget(device):
                return _read(path)
        except (OSError, ValueError):
            continue  # it has just gone
    return None


def _is_gadget(device: Path) -> bool:
    vendor, product = (int((device / name).read_text(), 16) for name in ("idVendor", "idProduct"))
    return is_gadget(vendor, product)


def named(name: str) -> Interface | None:
    """An interface by its name."""
    try:
        return _read(NET / name)
    except (OSError, ValueError):
        return None


def address(name: str) -> str:
    """Its first IPv4 address with the prefix, `10.42.0.1/24`; empty if it has none, or is not there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            local, mask = (
                socket.inet_ntoa(fcntl.ioctl(asking, request, struct.pack("16s24x", name.encode()))[20:24])
                for request in (_SIOCGIFADDR, _SIOCGIFNETMASK)
            )
        except OSError:
            return ""
    return str(IPv4Interface(f"{local}/{mask}"))


def _read(path: Path) -> Interface:
    index = int((path / "ifindex").read_text())
    mac = (path / "address").read_text().strip()
    master = path / "brport" / "bridge"
    bridge = master.resolve().name if master.exists() else ""
    up = bool(int((path / "flags").read_text(), 16) & _IFF_UP)
    return Interface(path.name, index, mac, bridge, _carrier(path), up)


def _carrier(path: Path) -> bool:
    """Reading it of an interface that is down is EINVAL (net/core/net-sysfs.c: carrier_show)."""
    try:
        return (path / "carrier").read_text().strip() == "1"
    except OSError:
        return False
