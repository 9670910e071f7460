"""Runs in the guest: sends a hundred megabytes to a node's `userland/digest.py`; says what came of it."""

from __future__ import annotations

import random
import socket
import sys
import time
from collections.abc import Iterator

PIECE, COUNT = 1_000_000, 100


def pieces() -> Iterator[bytes]:
    """The same bytes on every machine, and no two pieces alike."""
    block = random.Random(1).randbytes(PIECE)
    return (block[at:] + block[:at] for at in range(COUNT))


def main(host: str, port: str) -> None:
    began = time.monotonic()
    with socket.create_connection((host, int(port))) as connection:
        for piece in pieces():
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        digest = connection.recv(100).decode().strip()
    print(digest, f"{PIECE * COUNT / 1e6 / (time.monotonic() - began):.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
