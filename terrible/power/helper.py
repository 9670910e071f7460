"""`terrible-port`: the small root process that writes the `disable` attribute of configured ports.

One JSON line in, one out, then the connection is over. Each connection is served by a fork of its own,
so nothing that arrives there can hurt the others, and idle is a process asleep in select(). Nobody is
believed: the caller's uid comes from the kernel, the locations from the root-owned configuration, read
afresh for each request, and the path from the location.

Each access to sysfs happens in a second fork: in Linux 6.0 to 6.8 it can deadlock with the removal of
the hub (CVE-2024-26933), and then not even SIGKILL ends it. Such a fork is left behind, nobody waits
for it. It keeps a lock on its port, so that the next ones wait where a signal does reach them.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terrible.peers import Refused, check_peer
from terrible.power.permit import allowed, attribute, parse, within

SYSFS_LIMIT = 5.0
"""Seconds for one access; 2 s behind another port's enumeration have been seen on a healthy kernel."""
REQUEST_LIMIT = 2.0
"""Seconds between two pieces of a request."""
LONGEST_REQUEST = 4096
LIFETIME = 15
"""Seconds after which a fork that serves a connection ends in any case: SIGALRM."""
_SYSTEMD_SOCKET = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the process was started with."""

    config: Path
    socket: Path | None
    sysfs: Path
    locks: int
    """A file of nobody else's, locked a byte per port; anyone may flock what lies in /sys."""


def main(argv: Sequence[str]) -> int:
    """Serve until killed or, where started by the agent itself, until the agent is gone."""
    settings = _settings(argv)
    listener = _listener(settings.socket)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    while True:
        connection = _next(listener, watch_stdin=settings.socket is not None)
        if connection is None:
            return 0
        try:
            serving = os.fork() == 0
        except OSError:  # no room for another process: this caller sees a closed connection
            serving = False
        if serving:
            listener.close()
            os._exit(_serve(connection, settings))  # Python's own way out takes twice as long as the rest
        connection.close()


def _settings(argv: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="terrible port-helper")
    parser.add_argument("--config", type=Path, required=True, help="the configuration, owned by root")
    parser.add_argument("--socket", type=Path, help="where to listen; without it systemd passes the socket")
    parser.add_argument("--sys", type=Path, default=Path("/sys"), help="where sysfs is mounted")
    options = parser.parse_args(argv)
    if options.socket is None and os.environ.get("LISTEN_FDS") != "1":
        parser.error("--socket is missing, and systemd passed no socket")
    return Settings(options.config, options.socket, options.sys, os.memfd_create("ports"))


def _listener(path: Path | None) -> socket.socket:
    """The socket from systemd, else one for this user alone that says when it is ready."""
    if path is None:
        return socket.socket(fileno=_SYSTEMD_SOCKET)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o177)
    listener.bind(str(path))
    listener.listen(socket.SOMAXCONN)
    print("listening", flush=True)
    return listener


def _next(listener: socket.socket, *, watch_stdin: bool) -> socket.socket | None:
    """The next connection, or None once the agent that started us has closed our stdin, if only by dying."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin] if watch_stdin else [listener], [], [])
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
            return None
        if listener in ready:
            return listener.accept()[0]


def _serve(connection: socket.socket, settings: Settings) -> int:
    signal.alarm(LIFETIME)
    connection.settimeout(REQUEST_LIMIT)
    answer: dict[str, object]
    try:
        answer = {"ok": True, "value": _done(connection, settings)}
    except (Refused, OSError) as error:
        answer = {"ok": False, "error": str(error)}
    try:
        connection.sendall(json.dumps(answer).encode() + b"\n")
        connection.shutdown(socket.SHUT_RDWR)  # a stuck fork still holds a copy of the descriptor
    except OSError:
        return 1  # the caller did not wait for the answer
    return 0


def _done(connection: socket.socket, settings: Settings) -> int:
    """Do what the connection asks for; the value that the attribute has afterwards."""
    check_peer(connection)
    request = parse(_line(connection))
    if request.location not in within(settings.sysfs, allowed(settings.config)):
        raise Refused(f"{request.location} is not the location of a slot in {settings.config}")
    return _within_limit(attribute(settings.sysfs, request.location), request.value, settings.locks)


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = connection.recv(LONGEST_REQUEST)
        data += piece
        if len(data) > LONGEST_REQUEST:
            raise Refused(f"a request has at most {LONGEST_REQUEST} bytes")
        if not piece:
            raise Refused("the request ends before its newline")
    return data


def _within_limit(path: Path, value: int | None, locks: int) -> int:
    """Access the attribute in a fork, which is abandoned when it takes too long."""
    receiver, sender = os.pipe()
    fork = os.fork()
    if fork == 0:
        try:
            os.write(sender, _access(path, value, locks))
        finally:
            os._exit(0)
    os.close(sender)
    if not select.select([receiver], [], [], SYSFS_LIMIT)[0]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(fork, signal.SIGKILL)  # not waited for: a deadlocked write never ends
        raise Refused(f"the kernel did not return from {path}")
    return _value(path, os.read(receiver, LONGEST_REQUEST).decode())


def _access(path: Path, value: int | None, locks: int) -> bytes:
    """Write and read back; what the attribute says, or why not."""
    try:
        fcntl.lockf(locks, fcntl.LOCK_EX, 1, zlib.crc32(bytes(path)))  # until this fork ends
        file = os.open(path, os.O_RDONLY if value is None else os.O_RDWR)
        if value is not None:
            os.write(file, b"%d" % value)
        return os.pread(file, 16, 0)
    except OSError as error:
        return str(error.strerror).encode()


def _value(path: Path, said: str) -> int:
    if said.strip() not in ("0", "1"):
        raise Refused(f"{path}: {said.strip() or 'nothing'}")
    return int(said)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
