"""`terrible-disk` as a real process with a real socket, over a made head."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .head import Head

CONFIG = 'hub = "1-1"\nports = 3\n'
GOOD = b'{"v":1,"op":"open","slot":"node2"}'
LOOK = GOOD.replace(b"open", b"look")


@dataclass
class Told:
    """One answer and the descriptors that came with it, which are closed when it is left."""

    answer: dict[str, Any]
    descriptors: list[int]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


class Helper:
    """A helper that can be run; `config` and `socket` are its files."""

    def __init__(self, directory: Path, head: Head) -> None:
        self.head = head
        self.config = directory / "terrible.toml"
        self.socket = directory / "disk.sock"
        self.config.write_text(CONFIG)
        self.config.chmod(0o644)
        self.under: list[str] = []
        """A command that runs it."""
        self._command: list[str | Path] = [sys.executable, "-m", "terrible", "disk-helper"]
        self._command += ["--config", self.config, "--root", head.root]

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [*self.under, *self._command, "--socket", self.socket]
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

    def connect(self, to: str = "") -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(to or str(self.socket))
        return connection

    def raw(self, data: bytes, *, half_close: bool = False, to: str = "") -> Told:
        with self.connect(to) as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except BrokenPipeError:
                pass  # it has read enough
            return told(connection)

    def ask(self, op: str, slot: object, to: str = "") -> Told:
        return self.raw(json.dumps({"v": 1, "op": op, "slot": slot}).encode() + b"\n", to=to)

    def refusal(self, op: str, slot: object) -> str:
        """The words of a refusal, with which no descriptor comes."""
        with self.ask(op, slot) as answer:
            return refused(answer)


def refused(answer: Told) -> str:
    assert answer.answer["ok"] is False
    assert answer.descriptors == []
    error = answer.answer["error"]
    assert isinstance(error, str)
    return error


def told(connection: socket.socket) -> Told:
    """The one line that comes back."""
    data, descriptors = b"", list[int]()
    while not data.endswith(b"\n"):
        piece, more, _, _ = socket.recv_fds(connection, 65536, 8)
        assert piece, f"the answer ends after {data!r}"
        data += piece
        descriptors += more
    return Told(json.loads(data), descriptors)
