"""What runs here, and who runs it."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import pwd
from collections.abc import Iterator

from terrible import __version__
from terrible.cli.health.finding import Finding, Level
from terrible.peers import USER

_LIBUSB = "libusb-1.0.so.0"
_VERSION_FIELDS = ("major", "minor", "micro")


class _Version(ctypes.Structure):
    """The beginning of struct libusb_version (libusb.h); the fields that are left out are never read."""

    _fields_ = tuple((name, ctypes.c_uint16) for name in _VERSION_FIELDS)


def findings() -> Iterator[Finding]:
    """Versions, libusb, and the users."""
    yield Finding(Level.OK, "versions", ", ".join(_versions()))
    yield _libusb()
    yield Finding(Level.OK, "user", f"{name()} (uid {os.geteuid()})")
    yield _agents_user()


def name() -> str:
    """Who runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "nobody that has a name"


def _versions() -> list[str]:
    system = os.uname()
    return [
        f"terrible {__version__}",
        f"Python {platform.python_version()}",
        f"{system.sysname} {system.release} {system.machine}",
        f"event loop {_loop()}",
    ]


def _loop() -> str:
    try:
        return f"uvloop {importlib.metadata.version('uvloop')}"
    except importlib.metadata.PackageNotFoundError:
        return "asyncio"


def _libusb() -> Finding:
    """Asked without usb1, which cannot even be imported where the library is missing."""
    try:
        library = ctypes.CDLL(_LIBUSB)
    except OSError as error:
        return Finding(Level.ERROR, "libusb", f"cannot be loaded: {error}", "sudo apt install libusb-1.0-0")
    library.libusb_get_version.restype = ctypes.POINTER(_Version)
    version = library.libusb_get_version().contents
    number = ".".join(str(getattr(version, part)) for part in _VERSION_FIELDS)
    return Finding(Level.OK, "libusb", f"{number}, used through libusb1 {_binding()}")


def _binding() -> str:
    try:
        return importlib.metadata.version("libusb1")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _agents_user() -> Finding:
    try:
        uid = pwd.getpwnam(USER).pw_uid
    except KeyError:
        said = f"there is no user {USER}; only the systemd units and the udev rule need it"
        return Finding(Level.NOTE, "user", said)
    return Finding(Level.OK, "user", f"{USER} is there (uid {uid})")
