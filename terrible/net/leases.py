"""The leases that dnsmasq has given, read from its file (on tmpfs) whenever that has changed."""

from __future__ import annotations

from pathlib import Path

from terrible.net import dnsmasq_files
from terrible.net.dnsmasq_files import Lease
from terrible.net.plan import RUN

PATH = RUN / "leases"
LARGEST = 1 << 20
"""Bytes that are read of it; 500 leases are 50 KB."""


class Leases:
    """Looked up by MAC; a file that is missing or holds garbage holds no lease of anybody."""

    def __init__(self, path: Path = PATH) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._leases: dict[str, Lease] = {}

    def of(self, mac: str) -> Lease | None:
        """The lease of this gadget, if it has one."""
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                with self._path.open("rb") as file:
                    text = file.read(LARGEST).decode(errors="replace")
                self._leases = {lease.mac: lease for lease in dnsmasq_files.leases(text)}
                self._stamp = stamp
        except OSError:
            self._leases, self._stamp = {}, None
        return self._leases.get(mac)
