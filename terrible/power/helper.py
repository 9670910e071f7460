"""`terrible-port`: the small root process that writes the `disable` attribute of configured ports.

One JSON line in, one out (`terrible.lineserver`). Nobody is believed: the locations come from the
root-owned configuration, read afresh for each request, and the path from the location.

Each access to sysfs happens in a second fork: in Linux 6.0 to 6.8 it can deadlock with the removal of
the hub (CVE-2024-26933), and then not even SIGKILL ends it. Such a fork is left behind, nobody waits
for it. It keeps a lock on its port, so that the next ones wait where a signal does reach them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from terrible import lineserver
from terrible.lineserver import LONGEST_REQUEST, Reply
from terrible.peers import Refused
from terrible.power.permit import allowed, attribute, parse, within

SYSFS_LIMIT = 5.0
"""Seconds for one access; 2 s behind another port's enumeration have been seen on a healthy kernel."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the process was started with."""

    config: Path
    sysfs: Path
    locks: int
    """A file of nobody else's, locked a byte per port; anyone may flock what lies in /sys."""


def main(argv: Sequence[str]) -> int:
    """Serve until killed or, where started by the agent itself, until the agent is gone."""
    parser = lineserver.arguments("terrible port-helper")
    parser.add_argument("--sys", type=Path, default=Path("/sys"), help="where sysfs is mounted")
    options = parser.parse_args(argv)
    listening = lineserver.listener(parser, options.socket)
    settings = Settings(options.config, options.sys, os.memfd_create("ports"))
    return lineserver.serve(listening, partial(_done, settings), watch_stdin=options.socket is not None)


def _done(settings: Settings, line: bytes) -> Reply:
    """Do what the line asks for; the value that the attribute has afterwards."""
    request = parse(line)
    if request.location not in within(settings.sysfs, allowed(settings.config)):
        raise Refused(f"{request.location} is not the location of a slot in {settings.config}")
    path = attribute(settings.sysfs, request.location)
    return Reply(_within_limit(path, request.value, settings.locks))


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
