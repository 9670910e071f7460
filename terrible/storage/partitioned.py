"""How far the partition table says that an image reaches: one that ends before has been cut off.

MBR: four entries of 16 bytes from 446, start and length in sectors at 8 and 12. GPT (UEFI 5.3): a
protective MBR, and in sector 1 a header that tells where its copy is, the disk's last sector.
"""

from __future__ import annotations

import struct

SECTOR = 512
PROTECTIVE = 0xEE


def reach(start: bytes | memoryview) -> int:
    """Bytes that an image with this start must have at least, 0 where it tells nothing. Needs 1024 bytes."""
    if len(start) < 2 * SECTOR or bytes(start[510:512]) != b"\x55\xaa":
        return 0
    entries = [struct.unpack_from("<4xB3xII", start, 446 + 16 * number) for number in range(4)]
    if any(kind == PROTECTIVE for kind, _, _ in entries):
        return _gpt(start)
    return max(int(first + length) * SECTOR if kind else 0 for kind, first, length in entries)


def _gpt(start: bytes | memoryview) -> int:
    signature, copy = struct.unpack_from("<8s24xQ", start, SECTOR)
    return (int(copy) + 1) * SECTOR if signature == b"EFI PART" else 0
