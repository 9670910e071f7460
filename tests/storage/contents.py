"""Images that look like disks: a partition table, data, runs of zeros, holes in the file."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import random
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

MB = 1 << 20


def content(size: int, seed: int = 1) -> bytes:
    """Every third megabyte is zeros; one partition, to the end."""
    chance = random.Random(seed)
    parts = [
        bytes(MB) if number % 3 == 1 else chance.randbytes(1024) * 1024 for number in range(-(-size // MB))
    ]
    whole = bytearray(b"".join(parts)[:size])
    whole[:1024] = sector0(size) + bytes(512)
    return bytes(whole)


def sector0(end: int) -> bytes:
    """A partition table whose partition ends there."""
    entry = struct.pack("<B3xB3xII", 0x80, 0x0C, 8, end // 512 - 8)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def sparse(path: Path, whole: bytes) -> Path:
    """The image as a file with holes where it is zeros."""
    with path.open("wb") as file:
        file.truncate(len(whole))
        for offset in range(0, len(whole), MB):
            if any(whole[offset : offset + MB]):
                file.seek(offset)
                file.write(whole[offset : offset + MB])
    return path


def packed(path: Path, whole: bytes) -> Path:
    """The image packed as its name says, or plain."""
    match path.suffix:
        case ".xz":
            path.write_bytes(lzma.compress(whole, preset=0))
        case ".gz":
            path.write_bytes(gzip.compress(whole, 1))
        case ".zst":
            done = subprocess.run(["zstd", "-qc1", "-"], input=whole, check=True, capture_output=True)
            path.write_bytes(done.stdout)
        case _:
            path.write_bytes(whole)
    return path


def bmap(whole: bytes, ranges: Iterable[tuple[int, int]], block: int = 4096) -> bytes:
    """A bmap 2.0 of these ranges, first and last block, with all its digests."""
    lines = []
    for first, last in ranges:
        digest = hashlib.sha256(whole[first * block : (last + 1) * block]).hexdigest()
        lines.append(f'<Range chksum="{digest}"> {first}-{last} </Range>')
    text = (
        f'<?xml version="1.0" ?>\n<bmap version="2.0">\n<ImageSize> {len(whole)} </ImageSize>\n'
        f"<BlockSize> {block} </BlockSize>\n<ChecksumType> sha256 </ChecksumType>\n"
        f"<BmapFileChecksum> {'0' * 64} </BmapFileChecksum>\n<BlockMap>\n"
        f"{''.join(lines)}\n</BlockMap>\n</bmap>\n"
    )
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1).encode()
