"""A node: a machine with one gadget interface, `usb0`, and the DHCP clients that Pis run."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from .process import Process, until
from .space import Space

CLIENTS = ("udhcpc", "dhclient")
_SCRIPT = Path(__file__).with_name("client.sh")
_DHCLIENT = """
timeout 6; initial-interval 1; backoff-cutoff 1;
request subnet-mask, routers, domain-name, domain-name-servers, host-name, interface-mtu;
"""


@dataclass(frozen=True)
class Lease:
    """What a DHCP client was given; empty is what it was not."""

    address: str
    router: str
    dns: str
    domain: str
    hostname: str
    server: str
    mtu: str


class Node(Space):
    """It calls itself what every Pi is called, so nothing can rest on that; `label` is for people."""

    def __init__(self, directory: Path, label: str) -> None:
        super().__init__("raspberrypi", "192.0.2.254")
        self.label = label
        self._directory = directory / label
        self._directory.mkdir()
        (self._directory / "conf").write_text(_DHCLIENT)
        self._asked = itertools.count()

    def dhcp(self, client: str = "udhcpc", tries: int = 8) -> Lease | None:
        """Ask for an address as a Pi does that has just booted; None where nobody gives one."""
        path = self._directory / f"lease{next(self._asked)}"
        self._udhcpc(path, tries) if client == "udhcpc" else self._dhclient(path)
        if not path.exists():
            return None
        return Lease(**dict(line.split("=", 1) for line in path.read_text().splitlines()))

    def _udhcpc(self, lease: Path, tries: int) -> None:
        waits = ["-t", str(tries), "-T", "1", "-A", "1"]
        options: list[str | Path] = ["-i", "usb0", "-f", "-n", "-q", "-O", "mtu", "-s", _SCRIPT]
        self.attempt("env", f"LEASE={lease}", "busybox", "udhcpc", *waits, *options)

    def _dhclient(self, lease: Path) -> None:
        """Without the memory of an earlier boot; it would stay to renew, and is ended."""
        remembered, pid = self._directory / "leases", self._directory / "pid"
        remembered.unlink(missing_ok=True)
        files: list[str | Path] = [
            "-cf",
            self._directory / "conf",
            "-sf",
            _SCRIPT,
            "-lf",
            remembered,
            "-pf",
            pid,
        ]
        self.attempt("dhclient", "-4", "-1", *files, "-e", f"LEASE={lease}", "usb0")
        self.attempt("sh", "-c", 'kill "$(cat "$1")"', "sh", pid)

    def resolve(self, *query: str) -> str:
        """What its nameserver says, one answer a line; empty if there is none."""
        return self.run("dig", "+short", "+time=2", "+tries=2", "+search", *query).strip()

    def rogue(self, network: str = "192.168.66") -> Process:
        """A server here that would be everybody's router, as a stock image in its shared mode is."""
        self.ip("address", "replace", f"{network}.1/24", "dev", "usb0")
        self.ip("address", "replace", "fd00:66::1/64", "dev", "usb0")
        hands_out = [f"--dhcp-range={network}.50,{network}.99", f"--dhcp-option=3,{network}.1"]
        routes = ["--enable-ra", "--dhcp-range=fd00:66::100,fd00:66::200,slaac"]
        files = [f"--dhcp-leasefile={self._directory}/rogue", "--pid-file", "--conf-file=/dev/null"]
        options = [
            "--keep-in-foreground",
            "--log-facility=-",
            "--port=0",
            "--interface=usb0",
            "--bind-interfaces",
            "--no-ping",
        ]
        server = self.spawn("dnsmasq", *options, "--dhcp-authoritative", *hands_out, *routes, *files)
        until(lambda: self.serves(67), why="the rogue serves")
        return server
