"""One owner of the USB bus: everything that talks to USB directly holds this lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from terrible.errors import HostError

RUN = Path("/run/terrible")


class Held(HostError):
    """Another process has the lock; `holder` says which, and where."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"another terrible is running ({holder}); stop it first")
        self.holder = holder


@contextmanager
def owner() -> Iterator[None]:
    """Hold the lock. Held, a HostError, names the process that has it already."""
    path = directory() / "lock"
    with ExitStack() as held:
        if path.parent != RUN and os.access(RUN / "lock", os.R_OK):  # the service's: it can be held read-only
            _take(held.enter_context((RUN / "lock").open()))
        file = held.enter_context(_opened(path))
        _take(file)
        if os.geteuid() == 0:  # the agent's user owns the place, and must be able to open the lock after us
            place = path.parent.stat()
            os.fchown(file.fileno(), place.st_uid, place.st_gid)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _take(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise Held(f"process {holder}, {file.name}") from None


def _opened(path: Path) -> TextIO:
    try:  # never through a link: we may be root where the agent's user may lay one
        return open(path, "a+", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666))
    except OSError as error:
        remedy = "run as root or as the user terrible"
        if isinstance(
            error, PermissionError
        ):  # of a run as root, before the units have made the directory theirs
            remedy = f"{remedy}; if no terrible runs, another user has left it: sudo rm {path}"
        raise HostError(f"{path}: {error.strerror}; {remedy}") from None


def directory() -> Path:
    """Where the lock and the helpers' sockets are: /run/terrible, or a place of the user's own."""
    try:
        RUN.mkdir(mode=0o755, exist_ok=True)
    except OSError:
        pass  # not root, and no unit has made it
    if os.access(RUN, os.W_OK):
        return RUN
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    private = Path(runtime, "terrible") if runtime else Path(f"/tmp/terrible-{os.getuid()}")
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    if private.lstat().st_uid != os.getuid():
        raise HostError(f"{private} belongs to somebody else; set XDG_RUNTIME_DIR to a place of your own")
    return private
