"""A FAT file system in memory, and how one is made."""

from __future__ import annotations

from pathlib import Path

from terrible.storage.images.fat import Volume
from terrible.storage.images.partitions import BadImage
from tests.storage.images import sh


class Disk:
    """A FAT file system in memory, that counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.read_bytes = 0

    def read(self, offset: int, size: int) -> bytes:
        if offset < 0 or offset + size > len(self.content):
            raise BadImage("outside")
        self.read_bytes += size
        return bytes(self.content[offset : offset + size])

    def volume(self) -> Volume:
        return Volume(self.read, len(self.content))

    def files(self) -> dict[str, bytes]:
        volume = self.volume()
        return {file.path: b"".join(volume.content(file)) for file in volume.walk() if not file.is_directory}


def make(path: Path, bits: int, kib: int, *options: str) -> Path:
    """An empty file system of so many bits and KiB."""
    with path.open("wb") as file:
        file.truncate(kib * 1024)
    sh("mkfs.vfat", "-F", str(bits), *options, path)
    return path


def put(volume: Path, name: str, content: bytes) -> None:
    sh("mcopy", "-D", "o", "-i", volume, "-", f"::/{name}", given=content)
