"""Files of this machine that others read at any moment: whole or as they were, also if the power fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FIXED = frozenset({errno.EBUSY, errno.EXDEV, errno.EROFS, errno.EACCES})
"""The file may be written but not replaced: it is a mount point, as in containers or by ReadWritePaths=."""


def replace(path: Path, text: str) -> None:
    """Put `text` there, with the file's mode and owner; into the file itself where only that is allowed."""
    target = path.resolve()  # a link stays one
    try:
        settle(draft(target, text), target)
    except OSError as error:
        if error.errno not in _FIXED or not target.is_file():
            raise
        _overwrite(target, _encoded(text))


def draft(path: Path, text: str) -> Path:
    """The file that can become `path`, under a name that no program reads. OSError leaves nothing."""
    new = path.with_name(f".{path.name}.terrible")
    new.unlink(missing_ok=True)  # of a process that was killed
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(_encoded(text))
            opened.flush()
            _dress(file, path)
            os.fsync(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return new


def settle(new: Path, path: Path) -> None:
    """Let the draft take the place of `path`, for good."""
    try:
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(directory: Path) -> None:
    """What has been renamed or removed in it stays so."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dress(file: int, path: Path) -> None:
    """As the file that is there; one that is new is everybody's to read."""
    try:
        status = path.stat()
    except FileNotFoundError:
        os.fchmod(file, 0o644)
        return
    os.fchown(file, status.st_uid, status.st_gid)
    os.fchmod(file, status.st_mode & 0o7777)


def _overwrite(path: Path, data: bytes) -> None:
    """In one write and then the end: a reader sees the old, the new, or the new and a rest of the old."""
    with path.open("r+b", buffering=0) as file:
        file.write(data)
        file.truncate()
        os.fsync(file.fileno())


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
