"""A card as an open descriptor: what is written reaches it, what is read comes from it, past all caches."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

from terrible.storage.faults import CardError, at

_BLKSSZGET = 0x1268
_BLKDISCARD = 0x1277
_BLKFLSBUF = 0x1261


class Device:
    """`size` and `sector` in bytes. The descriptor is somebody else's, and is not closed."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        try:
            self._block = stat.S_ISBLK(os.fstat(fd).st_mode)
            self.sector = self._sector() if self._block else 512
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
        except OSError as error:
            raise CardError(f"the card cannot be read past the cache: {error.strerror}") from error

    def _sector(self) -> int:
        answer = fcntl.ioctl(self.fd, _BLKSSZGET, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])

    def write(self, view: memoryview, offset: int) -> None:
        """All of it; whole sectors."""
        while view:
            try:
                count = os.pwritev(self.fd, [view], offset)
            except OSError as error:
                raise CardError(f"the card could not be written {at(offset)}: {error.strerror}") from error
            if not count:
                raise CardError(f"the card could not be written {at(offset)}: it takes no more")
            view, offset = view[count:], offset + count

    def read(self, view: memoryview, offset: int) -> None:
        """Fill all of it; whole sectors."""
        while view:
            try:
                count = os.preadv(self.fd, [view], offset)
            except OSError as error:
                raise CardError(f"the card could not be read back {at(offset)}: {error.strerror}") from error
            if not count:
                raise CardError(f"the card could not be read back {at(offset)}: it ends there")
            view, offset = view[count:], offset + count

    def flush(self) -> None:
        """What has been written is on the card now, and not in its own cache."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise CardError(f"the card did not take what it had cached: {error.strerror}") from error

    def forget(self) -> None:
        """Drop what the kernel has cached of it, for others may have read it."""
        if self._block:
            with suppress(OSError):  # the privilege may be missing; O_DIRECT does without
                fcntl.ioctl(self.fd, _BLKFLSBUF, 0)

    def discards(self) -> bool:
        """Whether the kernel says that it can forget its content."""
        if not self._block:
            return False
        device = os.fstat(self.fd).st_rdev
        queue = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/queue/discard_max_bytes")
        try:
            return int(queue.read_text()) > 0
        except (OSError, ValueError):
            return False

    def discard(self) -> None:
        """Forget all of it."""
        try:
            fcntl.ioctl(self.fd, _BLKDISCARD, struct.pack("QQ", 0, self.size))
        except OSError as error:
            raise CardError(f"the card could not be discarded: {error.strerror}") from error
