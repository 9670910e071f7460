"""What /sys/bus/usb/devices says about hubs and ports, as far as reading it can never block.

Only attributes that the kernel answers without a lock are read here (drivers/usb/core/sysfs.c: devnum,
maxchild and speed). A port's `disable` takes the lock of its hub even to be read (port.c:
disable_show) and so is left to the helper.
"""

from __future__ import annotations

from pathlib import Path

from terrible.model import Location

_DEVICES = Path("bus/usb/devices")
_SUPERSPEED = 5000


def disable_attribute(location: Location) -> Path:
    """The path of a port's `disable` attribute (Linux >= 6.0) beneath the sysfs root.

    A port is a child of its hub's first interface; that of a root hub is `1-0:1.0`, while the hub
    itself is `usb1` (uhubctl.c:644-697).
    """
    hub = location.hub
    interface = f"{hub.removeprefix('usb')}-0:1.0" if hub.startswith("usb") else f"{hub}:1.0"
    return _DEVICES / interface / f"{hub}-port{location.port}" / "disable"


def port_of(hub: str, port: int) -> Location:
    """The location of a hub's port; the hub is named as by the kernel, `1-1` or `usb1`."""
    return Location(f"{hub.removeprefix('usb')}-{port}" if hub.startswith("usb") else f"{hub}.{port}")


def ports_of(hub: str, count: int) -> frozenset[Location]:
    """All ports of a hub that has `count` of them."""
    return frozenset(port_of(hub, port) for port in range(1, count + 1))


class Topology:
    """The hubs and ports of this machine; asked afresh each time, for hubs come and go."""

    def __init__(self, sysfs: Path = Path("/sys")) -> None:
        self._sysfs = sysfs

    def ports(self, hub: str) -> int:
        """How many ports a hub has; 0 where there is no such hub."""
        return self._number(hub, "maxchild") or 0

    def superspeed(self, hub: str) -> bool:
        """Whether a hub is on the USB 3 side; a USB 3 hub shows up as two."""
        return (self._number(hub, "speed") or 0) >= _SUPERSPEED

    def address(self, device: str) -> int | None:
        """The bus address of a device by the kernel's name of it; a hub that was replaced has another."""
        return self._number(device, "devnum")

    def devnum(self, location: Location) -> int | None:
        """The bus address of what sits at a location, new at each enumeration; None where nothing does."""
        return self._number(location, "devnum")

    def occupied(self, hub: str) -> frozenset[Location]:
        """The ports of a hub that something sits on."""
        return frozenset(port for port in ports_of(hub, self.ports(hub)) if self.devnum(port) is not None)

    def has_disable(self, location: Location) -> bool:
        """Whether this kernel can switch a port off by itself."""
        return (self._sysfs / disable_attribute(location)).exists()

    def _number(self, device: str, attribute: str) -> int | None:
        """An attribute of a device that may vanish at any moment; `speed` can be 1.5, or `unknown`."""
        try:
            return int(float((self._sysfs / _DEVICES / device / attribute).read_text()))
        except (OSError, ValueError, OverflowError):
            return None
