"""How images are packed, told by their first bytes, and the programs that unpack them."""

from __future__ import annotations

from terrible.storage.faults import ImageError
from terrible.storage.images.programs import find

MAGIC = {b"\xfd7zXZ\0": "xz", b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}
STRANGE = {b"PK\x03\x04": "a zip archive", b"BZh": "packed with bzip2", b"7z\xbc\xaf": "a 7z archive"}
LONGEST_MAGIC = 6
AMPLE = 128 * 1024 * 1024
"""Bytes for the unpacker when an image is written: xz -9 needs 65 MiB, and must fit."""
_PROGRAMS = {
    # One thread: more need 50 MB each for images as they are published.
    "xz": ("xz", "-dcq", "-T1", "--memlimit-decompress={memory}"),
    "gz": ("gzip", "-dcq"),
    "zst": ("zstd", "-dcq", "--memory={memory}"),
}


def kind_of(start: bytes) -> str:
    """`xz`, `gz`, `zst`, or nothing for a bare image, by the file's first bytes; ImageError for archives."""
    for magic, what in STRANGE.items():
        if start.startswith(magic):
            raise ImageError(f"it is {what} and no image; unpack it first")
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "")


def command(kind: str, memory: int) -> list[str]:
    """What unpacks this kind from its standard input with so many bytes of memory.

    HostError where it is not installed.
    """
    program, *options = _PROGRAMS[kind]
    return [*find(program), *(option.format(memory=memory) for option in options)]
