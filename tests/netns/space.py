"""One machine as the kernel's namespaces make it: its own network, processes, mounts and name.

Its first process holds them and reads what the test never writes: when the test's process ends, however it
does, so does this one and, as in any PID namespace, all others with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

from .process import FailedError, Process, child

LIMIT = 20.0
"""Seconds for one command; it is killed inside, for a kill of nsenter would leave it behind."""
_SETUP = r"""
set -e
exec 2>&1
trap '' CHLD  # the kernel reaps what is orphaned
mount -t sysfs sysfs /sys  # that of this network namespace
mount -t tmpfs tmpfs /sys/bus
mkdir -p /sys/bus/usb/devices
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
mount -t tmpfs -o mode=755 tmpfs /run
rm -f /etc/resolv.conf /etc/hosts
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$1" >/etc/hosts
printf 'nameserver %s\n' "$2" >/etc/resolv.conf
hostname "$1"
echo 0 >/proc/sys/net/ipv4/ip_forward  # the first network's values are inherited
echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad  # addresses are there at once, or not at all
ip link set lo up
echo ready
exec cat
"""


class Space:
    """A machine called `name` that asks `nameserver` for names."""

    def __init__(self, name: str, nameserver: str) -> None:
        self.name = name
        command = [
            "unshare",
            "-n",
            "-m",
            "-p",
            "-u",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            _SETUP,
        ]
        self._outer = subprocess.Popen(
            [*command, "sh", name, nameserver],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._outer.stdout is not None
        if (said := self._outer.stdout.readline()) != "ready\n":
            raise FailedError(f"{name} has not come to be: {said}")
        self.pid = child(self._outer.pid)
        self._enter = [f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--"]
        self._spawned: list[Process] = []

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # the first process: the kernel kills all others with it
        self._outer.wait(10)
        for stream in (self._outer.stdin, self._outer.stdout):
            stream and stream.close()
        for process in self._spawned:
            process.close()

    def run(self, *argv: str | Path, given: str = "", limit: float = LIMIT) -> str:
        """What the command printed; FailedError if it fails."""
        code, said, complaint = self.attempt(*argv, given=given, limit=limit)
        if code:
            raise FailedError(f"{self.name}: {' '.join(map(str, argv))}: exit code {code}: {said}{complaint}")
        return said

    def attempt(self, *argv: str | Path, given: str = "", limit: float = LIMIT) -> tuple[int, str, str]:
        """Exit code, output, complaints."""
        command = ["nsenter", *self._enter, "timeout", "-s", "KILL", str(limit), *argv]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=limit + 5
        )
        return done.returncode, done.stdout, done.stderr

    def spawn(self, *argv: str | Path) -> Process:
        """Start it and let it run."""
        process = Process(["nsenter", *self._enter, *map(str, argv)])
        self._spawned.append(process)
        return process

    def ping(self, to: str, count: int = 1) -> bool:
        """Whether somebody answers there, be it by name or by address."""
        return self.attempt("ping", "-n", "-c", str(count), "-i", "0.1", "-W", "1", to)[0] == 0

    def serves(self, port: int) -> bool:
        """Whether somebody here takes UDP on this port, on any address (net/ipv4/udp.c: udp4_format_sock)."""
        return f" 00000000:{port:04X} 00000000:0000 07 " in self.run("cat", "/proc/net/udp")

    def ip(self, *argv: str) -> str:
        """`ip` in this network alone: a `netns PID` in it is one of the outside."""
        command = ["nsenter", f"--target={self.pid}", "--net", "ip", *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FailedError(f"{self.name}: ip {' '.join(argv)}: {done.stderr}")
        return done.stdout

    def sysctl(self, name: str, value: int | None = None) -> int:
        """Read or, with a value, write what is below /proc/sys/net."""
        if value is not None:
            self.run("sh", "-c", 'echo "$1" >"$2"', "sh", str(value), f"/proc/sys/net/{name}")
        return int(self.run("cat", f"/proc/sys/net/{name}"))

    def file(self, path: str) -> Path:
        """A path inside, as it is reached from outside."""
        return Path(f"/proc/{self.pid}/root{path}")

    def processes(self) -> dict[int, str]:
        """Command lines by pid (of the outside), without the one that holds the namespaces."""
        inside = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.name != str(self.pid) and os.readlink(path / "ns/pid") == inside:
                    found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ").strip()
        return {pid: line for pid, line in found.items() if line}  # a zombie has none

    def called(self, pattern: str) -> list[int]:
        """The pids of those whose command line has this in it."""
        return sorted(pid for pid, line in self.processes().items() if re.search(pattern, line))
