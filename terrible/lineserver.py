"""What the small root helpers share: a socket where one line of JSON is answered with one, and no more.

Each connection is served by a fork of its own, so nothing that arrives there can hurt the others, and idle
is a process asleep in select(). The caller's uid comes from the kernel, and a request is short and in time.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from terrible.peers import Refused, check_peer

REQUEST_LIMIT = 2.0
"""Seconds between two pieces of a request."""
LONGEST_REQUEST = 4096
LIFETIME = 15
"""Seconds after which a fork that serves a connection ends in any case: SIGALRM."""
_SYSTEMD_SOCKET = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request has led to: plain JSON, and descriptors that go with it (SCM_RIGHTS)."""

    value: object
    descriptors: tuple[int, ...] = ()


Answering = Callable[[bytes], Reply]
"""Does what one line asks for. Refused, and OSError, are said to the caller."""


def arguments(program: str) -> argparse.ArgumentParser:
    """What every such helper is started with."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--config", type=Path, required=True, help="the configuration, owned by root")
    parser.add_argument("--socket", type=Path, help="where to listen; without it systemd passes the socket")
    return parser


def listener(parser: argparse.ArgumentParser, path: Path | None) -> socket.socket:
    """The socket from systemd, else one for this user alone that says when it is ready."""
    if path is None:
        if os.environ.get("LISTEN_FDS") != "1":
            parser.error("--socket is missing, and systemd passed no socket")
        return socket.socket(fileno=_SYSTEMD_SOCKET)
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    os.umask(0o177)
    made.bind(str(path))
    made.listen(socket.SOMAXCONN)
    print("listening", flush=True)
    return made


def serve(listening: socket.socket, answering: Answering, *, watch_stdin: bool) -> int:
    """Serve until killed or, where started by the agent itself, until the agent is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    while True:
        connection = _next(listening, watch_stdin=watch_stdin)
        if connection is None:
            return 0
        try:
            serving = os.fork() == 0
        except OSError:  # no room for another process: this caller sees a closed connection
            serving = False
        if serving:
            listening.close()
            os._exit(_serve(connection, answering))  # Python's own way out takes twice as long as the rest
        connection.close()


def _next(listening: socket.socket, *, watch_stdin: bool) -> socket.socket | None:
    """The next connection, or None once the agent that started us has closed our stdin, if only by dying."""
    while True:
        ready, _, _ = select.select([listening, sys.stdin] if watch_stdin else [listening], [], [])
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
            return None
        if listening in ready:
            return listening.accept()[0]


def _serve(connection: socket.socket, answering: Answering) -> int:
    signal.alarm(LIFETIME)
    connection.settimeout(REQUEST_LIMIT)
    answer: dict[str, object]
    try:
        check_peer(connection)
        reply = answering(_line(connection))
        answer = {"ok": True, "value": reply.value}
    except (Refused, OSError) as error:
        reply, answer = Reply(None), {"ok": False, "error": str(error)}
    try:
        _say(connection, json.dumps(answer).encode() + b"\n", reply.descriptors)
        connection.shutdown(socket.SHUT_RDWR)  # a stuck fork of ours still holds a copy of the descriptor
    except OSError:
        return 1  # the caller did not wait for the answer
    return 0


def _say(connection: socket.socket, line: bytes, descriptors: tuple[int, ...]) -> None:
    """Whoever has the whole line has the only copy of the descriptors: they go first, and are closed here."""
    sent = socket.send_fds(connection, [line[:1]], descriptors) if descriptors else 0
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(line[sent:])


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
