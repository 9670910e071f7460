"""An image from its first byte to its last, unpacked where it is packed, in pieces.

The unpacking is done by xz, gzip and zstd in a process beside ours, with a limit on their memory.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terrible.errors import HostError
from terrible.storage.faults import ImageError
from terrible.storage.images import packing
from terrible.storage.images.partitions import BadImage
from terrible.storage.images.programs import last_line

PIECE = 256 * 1024
MEMORY = 40 * 1024 * 1024
"""Bytes for the unpacker: enough for all of `xz -8` and `zstd -19`, not for `xz -9`."""


def kind_of(fd: int) -> str:
    """How this file is packed, "" for one that is not; its name does not matter. BadImage for archives."""
    try:
        return packing.kind_of(os.pread(fd, packing.LONGEST_MAGIC, 0))
    except ImageError as error:
        raise BadImage(str(error)) from None


def opened(path: Path) -> int:
    """A descriptor to read the image from; HostError for what is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise HostError(f"{path}: no regular file; an image is read from a file")
    return fd


@contextmanager
def pieces(fd: int, memory: int = MEMORY) -> Iterator[Iterator[bytes]]:
    """The bytes of the image in this file. Who leaves before the end need not read the rest.

    BadImage, after the last byte that could be read, where the file is damaged or cut short.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    if not (kind := kind_of(fd)):
        yield iter(lambda: os.read(fd, PIECE), b"")
        return
    command = packing.command(kind, memory)
    with subprocess.Popen(command, stdin=fd, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield _unpacked(process, Path(command[0]).name)
        finally:
            process.kill()


def _unpacked(process: subprocess.Popen[bytes], program: str) -> Iterator[bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    while piece := process.stdout.read(PIECE):
        yield piece
    said = process.stderr.read()  # it has closed its output: what it says is short and over
    if process.wait():
        raise BadImage(f"it cannot be unpacked: {last_line(said)}{_remedy(said, program)}")


def _remedy(said: bytes, program: str) -> str:
    wants_memory = b"emory" in said
    return f"; unpack it by hand: {program} -dk FILE" if wants_memory else ""
