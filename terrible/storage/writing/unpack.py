"""The bytes of a file, unpacked where it is packed, and the digest of the file as it is.

xz and zstd run as processes beside ours, off our interpreter's lock; xz took 3.5 s where Python's lzma
took 5.0 s for the same image. gzip is the other way round: 1.1 s by Python's zlib, 2.2 s by the program.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import os
import subprocess
import zlib
from contextlib import suppress
from threading import Thread
from typing import Protocol

from terrible.errors import HostError
from terrible.storage.faults import ImageError
from terrible.storage.images.packing import AMPLE, command

_P = subprocess.PIPE
_PIPE_SIZE = 1 << 20


class Stream(Protocol):
    """Where bytes of the image come from."""

    def readinto(self, view: memoryview, /) -> int | None:
        """Fill as much of `view` as there is at hand; 0 at the end, ImageError where the file is damaged."""

    def close(self) -> None:
        """Let go of it, wherever it stands."""


class Packed(io.RawIOBase):
    """The file as it is, from its first bytes `start` on, which may have been read from it already."""

    def __init__(self, fd: int, start: bytes, *, hashed: bool) -> None:
        self._fd = fd
        self._hashed = hashed
        self._start = start
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]  # a bytearray is none of ours
        if self._start:
            count = min(len(view), len(self._start))
            view[:count], self._start = self._start[:count], self._start[count:]
        else:
            count = os.readv(self._fd, [view])
        if self._hashed:
            self._hash.update(memoryview(view)[:count])
        return count

    def sha256(self) -> str:
        """Hex, of what has been read; nothing where it was not to be hashed."""
        return self._hash.hexdigest() if self._hashed else ""


class Gunzipped:
    """By zlib, here; its own digest and length are checked at the end of each member."""

    def __init__(self, packed: Packed) -> None:
        self._file = gzip.GzipFile(fileobj=io.BufferedReader(packed, 1 << 18))

    def readinto(self, view: memoryview, /) -> int:
        try:
            return self._file.readinto(view)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ImageError(f"the packed image is cut off or damaged: {error}") from error

    def close(self) -> None:
        self._file.close()


class Piped:
    """By a program, which is fed by a thread, so that the file is read once."""

    def __init__(self, packed: Packed, kind: str) -> None:
        try:
            unpacker = command(kind, AMPLE)
        except HostError as error:
            raise ImageError(str(error)) from error
        self._process = subprocess.Popen(unpacker, stdin=_P, stdout=_P, stderr=_P, bufsize=0)
        self._packed = packed
        self._broken: OSError | None = None
        assert self._process.stdout
        with suppress(OSError):  # a larger pipe means fewer turns, and no more than that
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        self._feeder = Thread(target=self._feed, name="feed", daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        view = memoryview(bytearray(1 << 18))
        assert self._process.stdin
        try:
            while count := self._packed.readinto(view):
                sent = 0
                while sent < count:
                    sent += self._process.stdin.write(view[sent:count])
        except BrokenPipeError:
            pass  # the program has had enough; its exit code says why
        except OSError as error:
            self._broken = error
        finally:
            with suppress(OSError):
                self._process.stdin.close()

    def readinto(self, view: memoryview, /) -> int:
        assert self._process.stdout
        count = self._process.stdout.readinto(view) or 0  # type: ignore[attr-defined]  # it is a FileIO
        if not count:
            self._end()
        return count

    def _end(self) -> None:
        self._feeder.join()
        if self._broken:
            raise ImageError(f"the image's file cannot be read: {self._broken.strerror}")
        assert self._process.stderr
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        if self._process.wait():
            why = said[-1] if said else f"exit code {self._process.returncode}"
            raise ImageError(f"the packed image is cut off or damaged: {why}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._feeder.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe
            pipe.close()


def unpacked(packed: Packed, kind: str) -> Stream:
    """The image's bytes."""
    match kind:
        case "":
            return packed
        case "gz":
            return Gunzipped(packed)
        case _:
            return Piped(packed, kind)
