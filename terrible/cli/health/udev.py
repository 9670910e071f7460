"""Whether udev gives Pis and hubs to the agent's user: the rule of packaging/, installed unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import terrible
from terrible.cli.health.finding import Finding, Level

RULE = "70-terrible.rules"
DIRECTORIES = tuple(
    Path(top, "udev/rules.d") for top in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
"""Where udev looks, the first wins (udev(7))."""
_PACKAGE = Path(terrible.__file__).parent
SHIPPED = tuple(place / "packaging" / RULE for place in (_PACKAGE, _PACKAGE.parent))
"""Inside an installed package, or beside it in a checkout."""


def findings() -> Iterator[Finding]:
    """One finding: there and the same, there but other, or not there."""
    installed = _first(directory / RULE for directory in DIRECTORIES)
    shipped = _first(iter(SHIPPED))
    if installed is None:
        said = f"{RULE} is not installed: only root may open Pis, and usb-storage disturbs a Pi 3's boot"
        yield Finding(Level.WARNING, "udev", said, _install(shipped))
    elif shipped is None:
        yield Finding(Level.NOTE, "udev", f"{installed} is there; nothing to compare it with")
    elif installed.read_text().split() != shipped.read_text().split():
        said = f"{installed} is not the one of this version"
        yield Finding(Level.WARNING, "udev", said, _install(shipped))
    else:
        yield Finding(Level.OK, "udev", f"{installed} is the one of this version")


def _first(paths: Iterator[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _install(shipped: Path | None) -> str:
    what = shipped or f"packaging/{RULE}"
    reload = "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=usb"
    return f"sudo cp {what} {DIRECTORIES[0]}/ && {reload}"
