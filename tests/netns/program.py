"""`terrible net` on the head, as people and systemd run it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from .lab import CLUSTER, HUB, PORTS, Lab
from .process import Process, together, until
from .space import LIMIT

_WARNINGS = ("-W", "error", "-W", "ignore:subprocess:ResourceWarning")
"""The helper that `up` starts is meant to outlive it."""
TERRIBLE = (sys.executable, *_WARNINGS, "-m", "terrible")
SOCKET = "/run/terrible/net.sock"
RUN = "/run/terrible-net"
BRIDGE = "terrible0"


class Program:
    """The program with its configuration."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.head = lab, lab.head
        self.config = lab.directory / "terrible.toml"
        self.is_populated, self.failures = False, 0
        self.configure()

    def configure(self, top: dict[str, object] | None = None, **net: object) -> None:
        """Write the configuration: keys of the table `[net]`, and those above it."""
        state = {"state_directory": str(self.lab.directory / "state")}
        above = {"cluster": CLUSTER, "hub": HUB, "ports": PORTS, **state, **(top or {})}
        # JSON is TOML for words, numbers, truth and lists of them.
        keys = [
            f"{key} = {json.dumps(value)}"
            for table in (above, net)
            for key, value in table.items()
            if value is not None
        ]
        keys.insert(len(above), "[net]")
        self.config.write_text("\n".join([*keys, ""]))
        self.config.chmod(0o644)

    def up(self) -> str:
        return self.head.run(*self.command("up"))

    def down(self) -> str:
        return self.head.run(*self.command("down"))

    def attempt(self, verb: str, *options: str, limit: float = LIMIT) -> tuple[int, str, str]:
        """Exit code, output, complaints."""
        return self.head.attempt(*self.command(verb), *options, limit=limit)

    def command(self, verb: str) -> list[str]:
        return [*TERRIBLE, "net", verb, "--config", str(self.config)]

    def serve(self) -> Process:
        """The helper in the foreground, as systemd starts it; returns once it says that it is ready."""
        process = self.head.spawn(*TERRIBLE, "net-helper", "--config", self.config, "--socket", SOCKET)
        until(lambda: "listening\n" in process.said(), limit=10, why="the helper is ready")
        return process

    def do(self, op: str) -> dict[str, Any]:
        """Ask the helper for something that it does."""
        answer = self.ask(op=op)
        assert answer["ok"], answer
        return answer

    def reload(self, top: dict[str, object] | None = None, **net: object) -> None:
        """Go on with another configuration."""
        self.configure(top, **net)
        self.do("reload")

    def reset(self) -> None:
        """Everything as after the first start, with nothing plugged in."""
        self.is_populated = False
        for label in list(self.lab.plugged):
            self.lab.unplug(next(node for node in self.lab.nodes if node.label == label))
        self.lab.internet.route("wan0")
        if not self.answers():
            self.serve()
        self.reload()
        until(lambda: not self.lab.bridged() and not self.joined(), why="the bridge is empty")

    def helpers(self) -> list[int]:
        return self.head.called(r"terrible net-helper")

    def dnsmasqs(self) -> list[int]:
        return self.head.called(rf"dnsmasq .*{RUN}/")

    def answers(self) -> bool:
        try:
            self.ask(op="watch")
        except (OSError, ValueError):
            return False
        return True

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        try:
            connection.connect(str(self.head.file(SOCKET)))
        except OSError:
            connection.close()
            raise
        return connection

    def raw(self, data: bytes) -> bytes:
        """The first line that comes back; empty if the connection ends before."""
        with self.connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(data)
            return lines.readline()

    def ask(self, **request: object) -> dict[str, Any]:
        return dict(json.loads(self.raw(json.dumps({"v": 1, **request}).encode() + b"\n")))

    def standing(self) -> dict[str, Any]:
        """How the network stands now."""
        return self.ask(op="watch")

    def watch(self, limit: float = 10) -> Iterator[dict[str, Any]]:
        """How it stands, whenever that has changed, for at most so long between two changes."""
        with self.connect() as connection, connection.makefile("rb") as lines:
            connection.settimeout(limit)
            connection.sendall(b'{"v":1,"op":"watch"}\n')
            for line in lines:
                yield dict(json.loads(line))

    def joined(self) -> dict[int, str]:
        """The names of the interfaces on the bridge by their slot, as the helper has them."""
        return {int(slot): name for slot, name in self.standing()["interfaces"].items()}

    def conflicts(self) -> dict[int, str]:
        return {int(slot): why for slot, why in self.standing()["conflicts"].items()}

    def populate(self, client: str = "udhcpc") -> None:
        """A node in each slot, with its lease."""
        for slot, node in enumerate(self.lab.nodes, start=1):
            self.has_joined(slot, self.lab.plug(node, slot).name)
        leases = together(partial(node.dhcp, client) for node in self.lab.nodes)
        assert [lease and lease.hostname for lease in leases] == [node.label for node in self.lab.nodes]
        self.is_populated = True

    def has_joined(self, slot: int, name: str) -> None:
        """Wait until this interface is on the bridge, for the kernel and for the helper."""
        until(lambda: name in self.lab.bridged(), why=f"{name} is on the bridge")
        until(lambda: self.joined().get(slot) == name, why=f"{name} is known as that of slot {slot}")

    def dropped(self) -> dict[str, int]:
        """What the guard has dropped, by the name of the port."""
        listing = json.loads(self.head.run("nft", "-j", "list", "set", "bridge", "terrible", "refused"))
        elements = next(entry["set"].get("elem", []) for entry in listing["nftables"] if "set" in entry)
        return {one["elem"]["val"]: one["elem"]["counter"]["packets"] for one in elements}


@contextmanager
def running(lab: Lab, **net: object) -> Iterator[Program]:
    """The network up with these keys in the table `[net]`, and down afterwards."""
    program = Program(lab)
    program.configure(None, **net)
    helper = program.serve()
    program.do("apply")
    try:
        yield program
    finally:
        if program.answers():
            program.do("down")
            assert helper.wait() == 0, helper.said()
