"""An image before anything is written: what it is, how large, and with which map and digest."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from terrible.errors import HostError
from terrible.storage.faults import ImageError
from terrible.storage.images import packing
from terrible.storage.images.partitions import reach
from terrible.storage.images.programs import find
from terrible.storage.writing import beside
from terrible.storage.writing.bmap import LONGEST, Bmap, parse
from terrible.storage.writing.source import SECTOR, Source


def opened(image: str, fd: int | None, digest: str | None, bmap: str | None) -> Source:
    """The image at this path, or in this descriptor; ImageError where it, its bmap or digest is none."""
    if fd is not None:
        start = _first(fd)
        told = bmap_at(Path(bmap)) if bmap else None
        kind = packing.kind_of(start)
        return Source(fd, "the image", kind, start, told.size if told else None, False, told, digest)
    path = Path(image)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    try:
        return _file(fd, path, digest, bmap)
    except BaseException:
        os.close(fd)
        raise


def _file(fd: int, path: Path, digest: str | None, bmap: str | None) -> Source:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise ImageError(f"{path}: no regular file; - reads an image from a pipe")
    start = os.pread(fd, packing.LONGEST_MAGIC, 0)
    kind = _kind(path, start)
    suffix = path.suffix.removeprefix(".")
    if suffix in packing.MAGIC.values() and suffix != kind:
        raise ImageError(f"{path.name} is not packed as its name says")
    beside_it = Path(bmap) if bmap else beside.bmap_of(path)
    told = bmap_at(beside_it) if beside_it else None
    size = _size(fd, path, kind, told)
    return Source(fd, path.name, kind, start, size, True, told, digest or beside.digest_of(path))


def _kind(path: Path, start: bytes) -> str:
    try:
        kind = packing.kind_of(start)
        if kind:
            packing.command(kind, packing.AMPLE)
    except (ImageError, HostError) as error:
        raise ImageError(f"{path.name}: {error}") from None
    return kind


def _first(fd: int) -> bytes:
    start = b""
    while len(start) < packing.LONGEST_MAGIC and (more := os.read(fd, packing.LONGEST_MAGIC - len(start))):
        start += more
    return start


def bmap_at(path: Path) -> Bmap:
    """The bmap in this file; ImageError where it is none."""
    try:
        with path.open("rb") as file:
            return parse(file.read(LONGEST + 1))
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    except ImageError as error:
        raise ImageError(f"{path.name}: {error}") from error


def _size(fd: int, path: Path, kind: str, bmap: Bmap | None) -> int | None:
    """What is known of the image's size; ImageError where the bmap says something else."""
    size = os.fstat(fd).st_size if not kind else _listed(path) if kind == "xz" else None
    if size is not None and bmap and size != bmap.size:
        raise ImageError(f"{path.name} is of {size} bytes, its bmap of an image of {bmap.size}")
    size = bmap.size if bmap else size
    if size is not None and (size % SECTOR or not size):
        raise ImageError(f"{path.name} is cut off: {size} bytes are no whole sectors")
    if size is not None and not kind and size < (needed := reach(os.pread(fd, 2 * SECTOR, 0))):
        raise ImageError(f"{path.name} is cut off: {size} bytes, its partitions need {needed}")
    return size


def _listed(path: Path) -> int:
    """An xz file's index tells its image's size. One without an index is cut off."""
    limit = f"--memlimit-decompress={packing.AMPLE}"  # of an index: 16 bytes for each of two in the file
    argv = [*find("xz"), "--robot", "--list", limit, "--", str(path)]
    listed = subprocess.run(argv, capture_output=True, text=True, check=False)
    if listed.returncode:
        said = listed.stderr.strip().splitlines()
        raise ImageError(f"the packed image is cut off or damaged: {said[-1] if said else path.name}")
    return int(listed.stdout.splitlines()[-1].split("\t")[4])
