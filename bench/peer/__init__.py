"""npm's `node-raspberrypi-usbboot` as trees for the guest: the package as published, and a driver.

Fetched into the cache of the rig, never committed; nothing of it is carried over into this project.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.rig import image

PACKAGE = "node-raspberrypi-usbboot"
VERSION = "1.1.12"
DEBIAN = ("nodejs",)
ROOT = "/opt/peer"
BOOTCODE = f"{ROOT}/node_modules/{PACKAGE}/blobs/raspberrypi/bootcode.bin"
"""Where it looks for the first stage, whatever directory it serves."""
COMMAND = ("node", f"{ROOT}/drive.js")
_NATIVE = "linux-x64"


def tree() -> Path:
    """The directory that becomes ROOT in the guest."""
    directory = image.cache() / f"peer-{VERSION}"
    if not (directory / "node_modules").exists():
        _install(directory)
    shutil.copy(Path(__file__).with_name("drive.js"), directory)
    return directory


def _install(directory: Path) -> None:
    """Without install scripts: its `usb` brings a compiled binary for this platform."""
    directory.mkdir(parents=True, exist_ok=True)
    npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*npm, "--prefix", str(directory), f"{PACKAGE}@{VERSION}"], check=True)
    modules = directory / "node_modules"
    # Its own firmware would answer for names that our directory lacks, and serve other bytes than we do.
    shutil.rmtree(modules / PACKAGE / "blobs")
    for other in (modules / "usb/prebuilds").iterdir():
        if other.name != _NATIVE:
            shutil.rmtree(other)
    for unneeded in ("usb/libusb", "usb/src", "@types", "node-addon-api"):
        shutil.rmtree(modules / unneeded, ignore_errors=True)
