"""Changing files in the FAT partition of an image with mtools: without root, without mounting."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

from terrible.errors import HostError
from terrible.storage.images.partitions import BadImage, Partition
from terrible.storage.images.programs import last_line, run

_GRAIN = 256 * 1024


@dataclass(frozen=True, slots=True)
class FatFs:
    """The file system of a partition in the image that `fd` has open for reading and writing."""

    fd: int
    partition: Partition

    def write(self, name: str, content: bytes) -> None:
        """Put a file into the root directory, in the place of one with its name."""
        self._mtool("mcopy", "-D", "o", "-", f"::/{name}", given=content)

    def rename(self, name: str, to: str) -> None:
        """Give a file of the root directory another name."""
        self._mtool("mren", f"::/{name}", to)

    def remove(self, name: str) -> None:
        """Remove a file of the root directory."""
        self._mtool("mdel", f"::/{name}")

    def check(self) -> None:
        """HostError where fsck.fat finds anything; it knows no partitions, and is given a copy."""
        with tempfile.TemporaryFile() as copy:
            for at in range(0, self.partition.size, _GRAIN):
                size = min(_GRAIN, self.partition.size - at)
                piece = os.pread(self.fd, size, self.partition.start + at)
                if piece.count(0) < len(piece):
                    os.pwrite(copy.fileno(), piece, at)
            copy.truncate(self.partition.size)
            done = run("fsck.fat", "-n", f"/proc/self/fd/{copy.fileno()}", fds=(copy.fileno(),))
        if done.returncode:
            raise BadImage(
                f"fsck.fat finds its boot partition damaged: {last_line(done.stdout + done.stderr)}"
            )

    def _mtool(self, program: str, *arguments: str, given: bytes = b"") -> None:
        where = f"/proc/self/fd/{self.fd}@@{self.partition.start}"
        done = run(program, "-i", where, *arguments, given=given, fds=(self.fd,))
        if done.returncode:
            raise HostError(f"{program} cannot change the boot partition: {last_line(done.stderr)}")
