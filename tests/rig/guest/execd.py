"""Runs in the guest: commands and files over TCP, one operation per connection.

A frame is two big-endian 32-bit lengths, a JSON object and raw bytes. The client sends one request;
`spawn` answers with a frame per line of output and takes signals meanwhile, everything else answers
with one frame. A command belongs to its connection: when that closes, its process group is killed,
so that nothing of one test lives on into the next. Threads, because importing asyncio costs the
emulated processor half a second of every start.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

PORT = 5555
_LENGTHS = struct.Struct(">II")
Frame = tuple[dict[str, Any], bytes]


class Connection:
    """Frames over a socket; several threads may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()

    def receive(self) -> Frame | None:
        """The next frame, or None when the other side has closed."""
        lengths = self._exactly(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return None
        head, body = _LENGTHS.unpack(lengths)
        return json.loads(self._exactly(head)), self._exactly(body)

    def send(self, body: bytes = b"", **head: object) -> None:
        encoded = json.dumps(head).encode()
        with self._sending:
            self._sock.sendall(_LENGTHS.pack(len(encoded), len(body)) + encoded + body)

    def _exactly(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count and (more := self._sock.recv(count - len(got))):
            got += more
        return bytes(got)


def handle(connection: Connection) -> None:
    request = connection.receive()
    if request is None:
        return
    head, body = request
    try:
        _OPERATIONS[head["do"]](connection, head, body)
    except (BrokenPipeError, ConnectionResetError):
        pass
    except Exception as error:  # noqa: BLE001 - whatever it was, the test is to see it
        connection.send(error=f"{type(error).__name__}: {error}")


def _run(connection: Connection, head: dict[str, Any], body: bytes) -> None:
    process = _start(head, stdin=subprocess.PIPE)
    threading.Thread(target=_obey, args=(connection, process), daemon=True).start()
    out, err = process.communicate(body)
    connection.send(out + err, rc=process.returncode, stdout=len(out))


def _spawn(connection: Connection, head: dict[str, Any], body: bytes) -> None:
    process = _start(head, stdin=subprocess.DEVNULL)
    connection.send(pid=process.pid)
    threading.Thread(target=_obey, args=(connection, process), daemon=True).start()
    pumps = [
        threading.Thread(target=_pump, args=(connection, name, stream), daemon=True)
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
    ]
    for pump in pumps:
        pump.start()
    for pump in pumps:
        pump.join()
    connection.send(rc=process.wait())


def _put(connection: Connection, head: dict[str, Any], body: bytes) -> None:
    path = Path(head["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    path.chmod(head["mode"])
    connection.send()


def _get(connection: Connection, head: dict[str, Any], body: bytes) -> None:
    connection.send(Path(head["path"]).read_bytes())


_OPERATIONS = {"run": _run, "spawn": _spawn, "put": _put, "get": _get}


def _start(head: dict[str, Any], stdin: int) -> subprocess.Popen[bytes]:
    argv = head["argv"]
    if shutil.which(argv[0]) is None:
        raise FileNotFoundError(argv[0])
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **head.get("env", {})},
        cwd=head.get("cwd") or "/",
        user=head.get("user"),
        group=head.get("user"),
        extra_groups=[] if head.get("user") else None,
        start_new_session=True,
    )


def _pump(connection: Connection, name: str, stream: IO[bytes]) -> None:
    for line in stream:
        # With the client gone, what is left is drained: the command must not block before it is killed.
        with contextlib.suppress(OSError):
            connection.send(line, stream=name)


def _obey(connection: Connection, process: subprocess.Popen[bytes]) -> None:
    """Signals from the client, until it closes the connection."""
    with contextlib.suppress(OSError):
        while frame := connection.receive():
            _kill(process, frame[0]["signal"])
    _kill(process, signal.SIGKILL)


def _kill(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _serve(sock: socket.socket) -> None:
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle(Connection(sock))


def main() -> None:
    with socket.create_server(("", PORT)) as server:
        Path(sys.argv[1]).write_text("listening\n")
        while True:
            threading.Thread(target=_serve, args=(server.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
