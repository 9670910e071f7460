"""One file whose content is a `Medium`, by the kernel's FUSE (linux/fuse.h, 7.31), for a loop device.

Not every kernel that CI runs on has a device-mapper; FUSE and loop devices are there, and as real.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from .medium import Medium

LARGEST = 1 << 20
_SILENT = {2, 36, 38, 42}
"""FORGET, INTERRUPT, DESTROY, BATCH_FORGET are not answered."""
_HEAD = struct.Struct("<IIQQIIII")
_BIG_WRITES, _MAX_PAGES, _DIRECT_IO = 1 << 5, 1 << 22, 1
_ROOT, _FILE = 1, 2
_MNT_DETACH, _NOSUID, _NODEV = 2, 2, 4
ENOENT, ENOSYS = 2, 38
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def mounted(where: Path, medium: Medium) -> Iterator[Path]:
    """The path of the file. OSError where the kernel or the missing privilege does not allow it."""
    where.mkdir()
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0"
    if _libc.mount(b"card", bytes(where), b"fuse", _NOSUID | _NODEV, options.encode()):
        os.close(fd)
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "mount")
    server = Thread(target=_serve, args=(fd, medium), name="fuse", daemon=True)
    server.start()
    try:
        yield where / "card"
    finally:
        _libc.umount2(bytes(where), _MNT_DETACH)
        server.join()
        os.close(fd)


def _serve(fd: int, medium: Medium) -> None:
    while True:
        try:
            request = os.read(fd, LARGEST + 8192)
        except OSError:  # ENODEV: unmounted
            return
        _, opcode, unique, node, *_ = _HEAD.unpack_from(request)
        if opcode in _SILENT:
            continue
        try:
            error, body = 0, _answer(medium, opcode, node, memoryview(request)[_HEAD.size :])
        except OSError as fault:
            error, body = -(fault.errno or 5), b""
        try:
            os.write(fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
        except OSError:  # ENOENT: nobody waits for it any more
            continue


def _answer(medium: Medium, opcode: int, node: int, body: memoryview) -> bytes:
    match opcode:
        case 26:  # INIT
            flags = _BIG_WRITES | _MAX_PAGES
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, LARGEST, flags, 16, 12, LARGEST, 1, 256, 0, 0)
        case 1:  # LOOKUP
            if bytes(body) != b"card\0":
                raise OSError(ENOENT, "lookup")
            return struct.pack("<QQQQII", _FILE, 0, 3600, 3600, 0, 0) + _attributes(medium, _FILE)
        case 3:  # GETATTR
            return struct.pack("<QII", 3600, 0, 0) + _attributes(medium, node)
        case 14:  # OPEN
            return struct.pack("<QII", 0, _DIRECT_IO, 0)
        case 15:  # READ
            _, offset, size = struct.unpack_from("<QQI", body)
            return medium.read(offset, size)
        case 16:  # WRITE
            _, offset, size = struct.unpack_from("<QQI", body)
            medium.write(offset, bytes(body[40 : 40 + size]))
            return struct.pack("<II", size, 0)
        case 20:  # FSYNC
            medium.flush()
            return b""
        case 43:  # FALLOCATE, for a discard
            _, offset, length, _mode = struct.unpack_from("<QQQI", body)
            medium.discard(offset, length)
            return b""
        case 17:  # STATFS
            return bytes(80)
        case 18 | 25:  # RELEASE, FLUSH
            return b""
        case _:
            raise OSError(ENOSYS, "not here")


def _attributes(medium: Medium, node: int) -> bytes:
    mode, size = (stat.S_IFDIR | 0o755, 0) if node == _ROOT else (stat.S_IFREG | 0o600, medium.size)
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, *([0] * 6), mode, 1, 0, 0, 0, 4096, 0)
