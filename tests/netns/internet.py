"""What lies beyond the head: a machine that knows no way back to the cluster's network."""

from __future__ import annotations

from . import echo
from .process import until
from .space import Space

ADDRESS = "203.0.113.1"
"""It answers here over whichever of its wires you come."""
NAME = "www.example.com"
PORT = 7
WIRES = {"wan0": ("198.51.100.1", "198.51.100.2"), "wan1": ("192.0.2.1", "192.0.2.2")}
"""By the head's interface: the internet's end and the head's own address, both /24."""


class Internet(Space):
    """Wired to the head, over `wan0` first; it knows one name, and echoes."""

    def __init__(self, head: Space) -> None:
        super().__init__("internet", ADDRESS)
        self._head = head

    def start(self) -> None:
        self.ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
        for wire in WIRES:
            self._connect(wire)
        self.route("wan0")
        echo.serve(self, "internet", ADDRESS, PORT)
        files = ["--conf-file=/dev/null", "--pid-file", "--no-resolv", "--no-hosts"]
        self.spawn("dnsmasq", "--keep-in-foreground", *files, f"--host-record={NAME},{ADDRESS}")
        until(lambda: self.attempt("dig", "+short", f"@{ADDRESS}", NAME)[1], why="the internet knows names")

    def _connect(self, wire: str) -> None:
        """Without IPv6, whose own addresses come when they come."""
        self._head.ip("link", "add", wire, "type", "veth", "peer", "name", wire, "netns", str(self.pid))
        for space, address in zip((self, self._head), WIRES[wire], strict=True):
            space.sysctl(f"ipv6/conf/{wire}/disable_ipv6", 1)
            space.ip("address", "add", f"{address}/24", "dev", wire)
            space.ip("link", "set", wire, "up")

    def route(self, wire: str) -> None:
        """Make this the head's default route."""
        self._head.ip("route", "replace", "default", "via", WIRES[wire][0], "dev", wire)
