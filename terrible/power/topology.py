"""What /sys/bus/usb/devices says about hubs and ports, as far as reading it can never block.

Only attributes that the kernel answers without a lock are read here (drivers/usb/core/sysfs.c: devnum,
maxchild, speed, version, idVendor; port.c: peer, over_current_count). A port's `disable` takes the lock of
its hub even to be read (port.c: disable_show) and so is left to the helper.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from terrible.model import Location

_DEVICES = Path("bus/usb/devices")
_COMPATIBLE = Path("firmware/devicetree/base/compatible")
_SUPERSPEED = 5000


def disable_attribute(location: Location) -> Path:
    """The path of a port's `disable` attribute (Linux >= 6.0) beneath the sysfs root."""
    return _port(location) / "disable"


def _port(location: Location) -> Path:
    """A port is a child of its hub's first interface; that of a root hub is `1-0:1.0`, while the hub
    itself is `usb1` (uhubctl.c:644-697).
    """
    hub = location.hub
    interface = f"{hub.removeprefix('usb')}-0:1.0" if hub.startswith("usb") else f"{hub}:1.0"
    return _DEVICES / interface / f"{hub}-port{location.port}"


def port_of(hub: str, port: int) -> Location:
    """The location of a hub's port; the hub is named as by the kernel, `1-1` or `usb1`."""
    return Location.at(hub, port)


def ports_of(hub: str, count: int) -> frozenset[Location]:
    """All ports of a hub that has `count` of them."""
    return frozenset(port_of(hub, port) for port in range(1, count + 1))


def named_port(name: str) -> Location | None:
    """The location that the kernel calls `1-1-port2` or `usb1-port2`; None for any other name."""
    hub, _, port = name.rpartition("-port")
    try:
        return port_of(hub, int(port))
    except ValueError:
        return None


class Topology:
    """The hubs and ports of this machine; asked afresh each time, for hubs come and go."""

    def __init__(self, sysfs: Path = Path("/sys")) -> None:
        self._sysfs = sysfs

    # -- hubs -------------------------------------------------------------------------------------------

    def hubs(self) -> Mapping[str, int | None]:
        """The bus address of every hub, by the kernel's name of it."""
        try:
            names = [path.name for path in (self._sysfs / _DEVICES).iterdir() if ":" not in path.name]
        except OSError:
            return {}
        return {name: self.address(name) for name in sorted(names) if self.ports(name)}

    def ports(self, hub: str) -> int:
        """How many ports a hub has; 0 where there is no such hub, or the kernel still asks it."""
        return self._number(hub, "maxchild") or 0

    def superspeed(self, hub: str) -> bool:
        """Whether a hub is on the USB 3 side; a USB 3 hub shows up as two."""
        return (self._number(hub, "speed") or 0) >= _SUPERSPEED

    def version(self, device: str) -> float:
        """The USB version that a device says it keeps to (bcdUSB), such as 2.1; 0 where it is not there."""
        try:
            return float(self._text(device, "version") or 0)
        except ValueError:
            return 0.0

    def address(self, device: str) -> int | None:
        """The bus address of a device by the kernel's name of it; a hub that was replaced has another."""
        return self._number(device, "devnum")

    def is_model(self, device: str, vendor: str, product: str) -> bool:
        """Whether a device has these ids, four hexadecimal digits each."""
        return (self._text(device, "idVendor"), self._text(device, "idProduct")) == (vendor, product)

    def controller(self, hub: str) -> Path:
        """The device of the host controller that a hub hangs on: both its buses have the same."""
        bus = hub.removeprefix("usb").partition("-")[0]
        return (self._sysfs / _DEVICES / f"usb{bus}").resolve().parent

    def board(self) -> frozenset[str]:
        """What the device tree calls this machine, `raspberrypi,4-model-b` and so on; empty without one."""
        try:
            return frozenset((self._sysfs / _COMPATIBLE).read_text().split("\0")) - {""}
        except (OSError, ValueError):
            return frozenset()

    # -- ports ------------------------------------------------------------------------------------------

    def devnum(self, location: Location) -> int | None:
        """The bus address of what sits at a location, new at each enumeration; None where nothing does."""
        return self._number(location, "devnum")

    def occupied(self, hub: str) -> frozenset[Location]:
        """The ports of a hub that something sits on."""
        return frozenset(port for port in ports_of(hub, self.ports(hub)) if self.devnum(port) is not None)

    def has_disable(self, location: Location) -> bool:
        """Whether this kernel can switch a port off by itself."""
        return (self._sysfs / disable_attribute(location)).exists()

    def peer(self, location: Location) -> Location | None:
        """The port of the other speed in the same socket, as far as the kernel knows (port.c: link_peers)."""
        try:
            return named_port((self._sysfs / _port(location) / "peer").readlink().name)
        except OSError:
            return None

    def overcurrents(self, location: Location) -> int | None:
        """How often a port drew too much since its hub came; None before Linux 4.17."""
        try:
            return int((self._sysfs / _port(location) / "over_current_count").read_text())
        except (OSError, ValueError):
            return None

    # -- reading ----------------------------------------------------------------------------------------

    def _number(self, device: str, attribute: str) -> int | None:
        """An attribute of a device that may vanish at any moment; `speed` can be 1.5, or `unknown`."""
        try:
            return int(float(self._text(device, attribute)))
        except (ValueError, OverflowError):
            return None

    def _text(self, device: str, attribute: str) -> str:
        try:
            return (self._sysfs / _DEVICES / device / attribute).read_text().strip()
        except (OSError, ValueError):
            return ""
