"""Drop-in files that tell NetworkManager, systemd-networkd and ModemManager to leave the node network alone.

The bridge is known by its name, gadgets by the USB location of their slot and by nothing else: a phone that
shares its connection has the same driver. All of it is read when a device appears, so a node that is plugged
in now is left alone from its next boot on.
"""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from terrible.errors import HostError
from terrible.model import Slot
from terrible.net import atomic

log = logging.getLogger(__name__)

ROOT = Path("/")
MARKER = "# Written by terrible net install, removed by terrible net uninstall. Changes here are lost."
UDEV = Path("/etc/udev/rules.d/71-terrible-net.rules")
"""Properties are read when all rules have run; the number keeps it next to `70-terrible.rules`."""
NETWORK_MANAGER = Path("/etc/NetworkManager/conf.d/90-terrible.conf")
NETWORKD = Path("/etc/systemd/network/05-terrible.network")
"""The first file that matches is the one that counts (systemd.network(5)): before netplan's 10-."""
NETWORKD_GADGETS = Path("/etc/systemd/network/05-terrible-gadgets.network")
FILES = (UDEV, NETWORK_MANAGER, NETWORKD, NETWORKD_GADGETS)
_LIMIT = 10.0
"""Seconds for a daemon to reload; it reads its files again in any case when it starts."""
# Each line until one of its commands fails. networkctl would start a networkd that is enabled but stopped,
# the others start nothing; without `conf`, NetworkManager would rewrite resolv.conf too.
_RELOADS = (
    (("udevadm", "control", "--reload"),),
    (("nmcli", "general", "reload", "conf"),),
    (("systemctl", "--quiet", "is-active", "systemd-networkd"), ("networkctl", "reload")),
)
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_NAME = re.compile(r"[a-z0-9-]+")


def files(bridge: str, slots: Sequence[Slot]) -> dict[Path, str]:
    """What belongs where. ValueError for a name that would mean something else in one of the files."""
    if not _INTERFACE.fullmatch(bridge):
        raise ValueError(f"no bridge can be called {bridge!r}")
    unmanaged = "[Link]\nUnmanaged=yes\n"
    # [device] outranks the udev property, and later files outrank earlier ones (NetworkManager.conf(5)).
    device = f"[device-terrible]\nmatch-device=interface-name:{bridge}\nmanaged=0\n"
    contents = {
        UDEV: _rules(slots),
        NETWORK_MANAGER: device,
        NETWORKD: f"[Match]\nName={bridge}\n\n{unmanaged}",
        # Property= holds what udev knows against a shell pattern (net_match_config(), systemd 243 and later).
        NETWORKD_GADGETS: f"[Match]\nProperty=TERRIBLE_SLOT=?*\n\n{unmanaged}",
    }
    return {path: f"{MARKER}\n{text}" for path, text in contents.items()}


def install(bridge: str, slots: Sequence[Slot]) -> list[str]:
    """Have the files as they belong; a line for each. HostError, and nothing done, where one is not ours."""
    wanted = {_here(path): text for path, text in files(bridge, slots).items()}
    changed = [path for path, text in wanted.items() if _ours(path) != text]
    drafts: dict[Path, Path] = {}
    try:
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            drafts[path] = atomic.draft(path, wanted[path])
        for path, new in drafts.items():
            atomic.settle(new, path)
    except OSError as error:
        for new in drafts.values():
            new.unlink(missing_ok=True)
        raise _cannot(path, error) from error
    _reload()
    return [f"{'written' if path in changed else 'unchanged'}: {path}" for path in wanted]


def outdated(bridge: str, slots: Sequence[Slot]) -> list[Path]:
    """What `install` would write otherwise by now: slots or the number of their bus have changed since.

    Empty where nothing is installed. HostError for a file of somebody else.
    """
    present = {path: _ours(_here(path)) for path in FILES}
    if not any(present.values()):
        return []
    return [path for path, text in files(bridge, slots).items() if present[path] != text]


def uninstall() -> list[str]:
    """Remove what is ours; a line for each file. HostError, and nothing done, where one is not ours."""
    present = [path for path in map(_here, FILES) if _ours(path) is not None]
    for path in present:
        try:
            path.unlink(missing_ok=True)
            atomic.sync(path.parent)
        except OSError as error:
            raise _cannot(path, error) from error
    _reload()
    return [f"{'removed' if path in present else 'not there'}: {path}" for path in map(_here, FILES)]


def _rules(slots: Iterable[Slot]) -> str:
    lines = [line for slot in slots for line in _slot_rules(slot)]
    return "\n".join(['ACTION=="remove", GOTO="terrible_net_end"', *lines, 'LABEL="terrible_net_end"', ""])


def _slot_rules(slot: Slot) -> Iterator[str]:
    """udev(7). By interfaces, 1-1.2:1.0 and so on: 1-1.2 is also above what is behind a hub on that port."""
    if not _NAME.fullmatch(slot.name):
        raise ValueError(f"no slot can be called {slot.name!r}")
    port = f'SUBSYSTEMS=="usb", KERNELS=="{slot.location}:*"'
    # NetworkManager asks udev for NM_UNMANAGED (NetworkManager(8); nm_platform_link_get_unmanaged()).
    yield f'SUBSYSTEM=="net", {port}, ENV{{NM_UNMANAGED}}="1", ENV{{TERRIBLE_SLOT}}="{slot.name}"'
    # ModemManager asks for the property of the usb_device and, where it has none, for that of the tty itself
    # (mm-kernel-device-udev.c: kernel_device_get_global_property(); since 1.12 in each of its filters).
    yield f'SUBSYSTEM=="usb", KERNEL=="{slot.location}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
    yield f'SUBSYSTEM=="tty", {port}, ENV{{ID_MM_DEVICE_IGNORE}}="1"'


def _ours(path: Path) -> str | None:
    """What our file holds, None where there is none; HostError for one of somebody else, or a link."""
    try:
        if path.is_symlink() or MARKER not in (text := path.read_text(errors="replace")).splitlines():
            raise HostError(f"{path} is not ours; move it away if it is not needed")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot(path, error) from error
    return text


def _reload() -> None:
    """Tell those that run; who is missing or does not run has nothing to reload."""
    for commands in _RELOADS:
        all(_succeeds(argv) for argv in commands)


def _succeeds(argv: Sequence[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=_LIMIT).returncode == 0
    except FileNotFoundError:
        return False
    except (OSError, subprocess.TimeoutExpired) as error:
        log.info("%s: %s", " ".join(argv), error)
        return False


def _here(path: Path) -> Path:
    return ROOT / path.relative_to("/")


def _cannot(path: Path, error: OSError) -> HostError:
    remedy = "; run this as root" if isinstance(error, PermissionError) else ""
    return HostError(f"{path} cannot be written: {error.strerror}{remedy}")
