"""USB controllers by the name that lasts: a bus number can change when the head reboots, `ID_PATH` does not.

`platform-3f980000.usb-usb-0:1.2` is port 1.2 of the controller that systemd's path_id calls
`platform-3f980000.usb` (udev-builtin-path_id.c: handle_usb, and the loop over the parents after it).
Everything else in the agent knows kernel names only, so this is resolved once, where a configuration is read.
"""

from __future__ import annotations

import re
from pathlib import Path

SYSFS = Path("/sys")
_PORT = re.compile(r"(?P<controller>.+?)-usb(?:v[23])?-0:(?P<ports>\d+(?:\.\d+)*)(?::\d+\.\d+)?")
_SUPERSPEED = 5000


def kernel_name(text: str) -> str:
    """A hub or port as the kernel names it now: `1-1.2`, or `usb1` for a controller's own ports.

    What is no `ID_PATH` is returned as it is. ValueError if there is no such controller now.
    """
    match = _PORT.fullmatch(text)
    controller = match["controller"] if match else text
    if match is None and not text.startswith(("platform-", "pci-")):
        return text
    buses = _buses()
    if controller not in buses:
        present = ", ".join(sorted(buses)) or "none"
        raise ValueError(f"there is no USB controller {controller}; this machine has {present}")
    return f"{buses[controller]}-{match['ports']}" if match else f"usb{buses[controller]}"


def _buses() -> dict[str, int]:
    """The bus of each controller's USB 2 side, by the controller's ID_PATH; Pis are USB 2 devices."""
    found: dict[str, int] = {}
    for hub in sorted((SYSFS / "bus/usb/devices").glob("usb*")):
        try:
            slow = float((hub / "speed").read_text()) < _SUPERSPEED
            path = _id_path(hub.resolve(strict=True).parent)
        except (OSError, ValueError):
            continue  # it has just gone
        if slow and path:
            found[path] = int(hub.name.removeprefix("usb"))
    return found


def _id_path(device: Path) -> str:
    """What path_id makes of a controller: of each run of parents on one bus, the one nearest to it."""
    path, before = "", ""
    for parent in (device, *device.parents):
        bus = (parent / "subsystem").resolve().name if (parent / "subsystem").exists() else ""
        if bus in ("pci", "platform") and bus != before:
            path = f"{bus}-{parent.name}" + (f"-{path}" if path else "")
        before = bus
    return path
