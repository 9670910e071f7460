"""The helper as a real process with a real socket, and ways to misuse it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from .tree import Tree

T = TypeVar("T")
CONFIG = 'hub = "1-1"\nports = 3\n[[slots]]\nlocation = "1-2"\n'
GOOD = b'{"v":1,"op":"disable","location":"1-1.2","value":1}'
STUCK = 1.0
"""The helper's limit for an access in these tests, seconds."""
_START = f"""
import os, sys
from terrible.power import helper
helper.SYSFS_LIMIT = {STUCK}
def kill(pid, signal, real=os.kill):
    if not os.path.exists(sys.argv[1]):
        real(pid, signal)
os.kill = kill
sys.exit(helper.main(sys.argv[2:]))
"""


class Helper:
    """A running helper; `config` and `socket` are its files."""

    def __init__(self, directory: Path, tree: Tree) -> None:
        self.config = directory / "terrible.toml"
        self.socket = directory / "port.sock"
        self.config.write_text(CONFIG)
        self.config.chmod(0o644)
        self._unkillable = directory / "unkillable"
        self.options: list[str | Path] = ["--config", self.config, "--sys", tree.root]

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [*self._command, "--socket", self.socket]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            yield process
            process.communicate(timeout=10)  # closes stdin, which ends it
            assert process.returncode == 0

    @contextmanager
    def from_systemd(self) -> Iterator[str]:
        """With its socket as descriptor 3; an abstract one, so that no directory keeps anybody out."""
        address = f"\0{self.socket}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen()
            shell = ["sh", "-c", 'exec "$@" 3<&0', "sh"]
            environment = {**os.environ, "LISTEN_FDS": "1"}
            process = subprocess.Popen([*shell, *self._command], env=environment, stdin=listener.fileno())
            try:
                yield address
            finally:
                process.terminate()
                process.wait(timeout=10)

    @property
    def _command(self) -> list[str | Path]:
        return [sys.executable, "-c", _START, self._unkillable, *self.options]

    @contextmanager
    def unkillable(self) -> Iterator[None]:
        """The helper's signals end nothing, as when a fork is deadlocked in the kernel."""
        self._unkillable.touch()
        yield
        self._unkillable.unlink()

    def processes(self) -> int:
        """How many processes there are of it, whoever their parent is now."""
        return len(self._pids())

    def waiting(self) -> int:
        """How many of them wait for a lock."""
        blocked = re.findall(r"-> POSIX +ADVISORY +WRITE +(\d+)", Path("/proc/locks").read_text())
        return len(self._pids() & set(blocked))

    def _pids(self) -> set[str]:
        mark = str(self._unkillable).encode()
        return {process.name for process in Path("/proc").glob("[0-9]*") if mark in _cmdline(process)}

    def connect(self, to: str = "") -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(to or str(self.socket))
        return connection

    def raw(self, data: bytes, *, half_close: bool = False, to: str = "") -> dict[str, Any]:
        with self.connect(to) as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except BrokenPipeError:
                pass  # it has read enough
            return answer(connection)

    def ask(self, to: str = "", **request: object) -> dict[str, Any]:
        return self.raw(json.dumps({"v": 1, **request}).encode() + b"\n", to=to)

    def disable(self, location: str, value: object, to: str = "") -> dict[str, Any]:
        return self.ask(op="disable", location=location, value=value, to=to)


def answer(connection: socket.socket) -> dict[str, Any]:
    """The one line that comes back."""
    data = b""
    while not data.endswith(b"\n"):
        piece = connection.recv(65536)
        assert piece, f"the answer ends after {data!r}"
        data += piece
    told = json.loads(data)
    assert isinstance(told, dict)
    return told


def eventually(what: Callable[[], T], wanted: T) -> bool:
    """Whether it becomes so within 10 s, watched closely."""
    deadline = time.monotonic() + 10
    while what() != wanted and time.monotonic() < deadline:
        os.sched_yield()
    return what() == wanted


def listening(pid: int) -> int:
    """The descriptor of a process that listens; it has one socket."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return next(int(link.name) for link in links if os.readlink(link).startswith("socket:"))


def _cmdline(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def stuck(path: Path) -> Iterator[None]:
    """Make every open of a regular file block: we hold a lease on it and ignore that it is to be broken.

    A FIFO would block too, but the helper rightly takes none.
    """
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(file)
        signal.signal(signal.SIGIO, before)
