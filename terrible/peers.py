"""Whom a privileged helper believes: its callers by their uid, a file by who could have written it."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import struct
from pathlib import Path

USER = "terrible"


class Refused(Exception):
    """Why a request was not done; the message goes to the caller."""


def check_peer(connection: socket.socket) -> None:
    """Serve root, the agent's user, and whoever runs this process; Refused for everyone else."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    uid = struct.unpack("iII", credentials)[1]
    if uid in (0, os.geteuid()):
        return
    try:
        if uid == pwd.getpwnam(USER).pw_uid:
            return
    except KeyError:
        pass  # not installed: there is no such user
    raise Refused(f"uid {uid} is neither root nor {USER}")


def check_owner(status: os.stat_result, config: Path) -> None:
    """Root does what a file says only if nobody else could have written it."""
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refused(f"{config} must be owned by root and writable by nobody else")
