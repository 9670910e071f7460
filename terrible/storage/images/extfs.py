"""Files in the ext4 partition of an image, read and written by debugfs: without root, without mounting."""

from __future__ import annotations

import posixpath
import subprocess
import tempfile
from dataclasses import dataclass

from terrible.errors import HostError
from terrible.storage.images.partitions import BadImage
from terrible.storage.images.programs import last_line, run


@dataclass(frozen=True, slots=True)
class ExtFs:
    """The file system at `offset` in the image that `fd` has open; to write, it must be open for that.

    Paths are absolute and ours. Links on the way are followed, one at the end is not (debugfs).
    """

    fd: int
    offset: int

    def read(self, path: str, most: int) -> bytes | None:
        """The content of a file, None where there is none, BadImage where it has more than `most` bytes."""
        if (size := self._size(path)) is None:
            return None
        if size > most:
            raise BadImage(f"its {path} has {size} bytes, which cannot be")
        return self._debugfs("-R", f"cat {path}").stdout

    def exists(self, path: str) -> bool:
        """Whether there is anything by this name."""
        return self._size(path) is not None

    def names(self, path: str) -> list[str]:
        """What is in a directory, without what begins with a dot; nothing where there is none."""
        if not self.exists(path):
            return []
        lines = self._debugfs("-R", f"ls -p {path}").stdout.decode(errors="replace").splitlines()
        names = [parts[5] for line in lines if len(parts := line.split("/")) > 5]
        return sorted(name for name in names if not name.startswith("."))

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file of root's there, in the place of whatever has its name."""
        directory, name = posixpath.split(path)
        self.make_directories(directory)
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            source = f"/proc/self/fd/{file.fileno()}"
            steps = [*self._cleared(path), f"cd {directory}", f"write {source} {name}"]
            owner = [f"sif {path} {field}" for field in (f"mode 0{0o100000 | mode:o}", "uid 0", "gid 0")]
            self._change([*steps, *owner], file.fileno())

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link there, in the place of whatever has its name."""
        self.make_directories(posixpath.dirname(path))
        self._change([*self._cleared(path), f"symlink {path} {target}"])

    def remove(self, path: str) -> None:
        """Remove a file or a link, if it is there."""
        if steps := self._cleared(path):
            self._change(steps)

    def make_directories(self, path: str) -> None:
        """Make a directory of root's and those above it, where they are missing."""
        parts = path.strip("/").split("/")
        paths = ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
        missing = [path for path in paths if not self.exists(path)]
        if missing:
            self._change([f"mkdir {path}" for path in missing])

    def blocks(self, path: str) -> list[int]:
        """Where the blocks of a file lie, in bytes from the beginning of the image."""
        numbers = self._debugfs("-R", f"blocks {path}").stdout.split()
        return [self.offset + int(number) * self.block_size() for number in numbers]

    def block_size(self) -> int:
        """Bytes of a block."""
        for line in self._debugfs("-R", "show_super_stats -h").stdout.decode(errors="replace").splitlines():
            if line.startswith("Block size:"):
                return int(line.partition(":")[2])
        raise BadImage("its Linux partition has no ext4 file system")

    def check_clean(self) -> None:
        """BadImage where its journal would undo what is written, or where it is no ext4 at all."""
        features = self._debugfs("-R", "features").stdout.decode(errors="replace").split()
        if "needs_recovery" in features:
            raise BadImage(
                "its ext4 file system was not unmounted; take an image of a card that was shut down"
            )
        self.block_size()

    def _size(self, path: str) -> int | None:
        shown = self._debugfs("-R", f"stat {path}").stdout.decode(errors="replace")
        if not shown.startswith("Inode:"):
            return None
        _, found, rest = shown.partition("Size: ")
        return int(rest.split()[0]) if found else 0

    def _cleared(self, path: str) -> list[str]:
        return [f"rm {path}"] if self.exists(path) else []

    def _change(self, steps: list[str], *fds: int) -> None:
        done = self._debugfs("-w", "-f", "-", given="".join(f"{step}\n" for step in steps), fds=fds)
        wrong = [line for line in done.stderr.splitlines() if line and not line.startswith(b"debugfs 1.")]
        if wrong or done.returncode:
            said = last_line(wrong[0] if wrong else done.stdout)
            raise HostError(f"debugfs cannot change the image ({'; '.join(steps)}): {said}")

    def _debugfs(
        self, *arguments: str, given: str = "", fds: tuple[int, ...] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        where = f"/proc/self/fd/{self.fd}?offset={self.offset}"
        return run("debugfs", *arguments, where, given=given.encode(), fds=(self.fd, *fds))
