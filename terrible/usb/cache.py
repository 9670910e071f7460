"""What boot files contain, read once for all nodes.

A content is one snapshot of one version of a file: what was read, not what the size promised. It is kept
while it is recent and fits, and shared while anybody still holds it, however large it is.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import weakref
from collections import OrderedDict
from dataclasses import dataclass

from terrible.usb.digests import Digest, Digests, sha256

BUDGET = 64 * 1024 * 1024
QUIET = 60.0
"""Seconds after the last request until all is forgotten: an idle head has better use for the memory."""
INLINE = 64 * 1024
"""Up to here a file is read on the loop: a thread costs more than the read."""
MOST = min(1 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
"""No file is larger; a sparse one in a directory that a node can write to must not eat the head's memory."""
_TRIES = 3
_STEP = 1024 * 1024

Version = tuple[int, int, int, int, int]
"""Device, inode, times of change in nanoseconds, size: another version of a file has another one."""
_Key = tuple[Version, int, int | None]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Content:
    """Bytes and their hash; `version` is None where the file kept changing while it was read.

    The bytes are never changed; a bytearray, because libusb takes those without a copy.
    """

    data: bytearray
    digest: Digest
    version: Version | None


class Cache:
    """Contents by version, at most BUDGET bytes of them, the least recently asked for dropped first."""

    def __init__(self) -> None:
        self._recent: OrderedDict[_Key, Content] = OrderedDict()
        self._held = 0
        self._shared: weakref.WeakValueDictionary[_Key, Content] = weakref.WeakValueDictionary()
        self._flights: dict[_Key, asyncio.Future[Content]] = {}
        self._digests = Digests()
        self._quiet: asyncio.TimerHandle | None = None

    async def read(self, fd: int, offset: int = 0, size: int | None = None) -> Content:
        """The content of an open file, or of a part of it; `fd` is closed. OSError as reading it fails.

        All who ask while it is being read get that one read, and no one's cancellation ends it for others.
        """
        try:
            version = version_of(fd)
            key = (version, offset, size)
            known = self._shared.get(key)
            if known is None and key not in self._flights:
                if (version[-1] if size is None else size) <= INLINE:
                    data, stable = _snapshot(fd, offset, size)
                    known = Content(data, Digest(sha256(data)), stable)
                else:
                    self._start(key, os.dup(fd), size)
        finally:
            os.close(fd)
        if known is None:
            return await asyncio.shield(self._flights[key])
        self._keep(offset, size, known)
        return known

    def _start(self, key: _Key, fd: int, size: int | None) -> None:
        loop = asyncio.get_running_loop()
        self._flights[key] = loop.create_future()
        reading = loop.run_in_executor(None, _read_and_close, fd, key[1], size)
        reading.add_done_callback(functools.partial(self._landed, key))

    def _landed(self, key: _Key, reading: asyncio.Future[tuple[bytearray, Version | None]]) -> None:
        flight = self._flights.pop(key)
        if flight.cancelled() or reading.cancelled():
            flight.cancel()
        elif error := reading.exception():
            flight.set_exception(error)
            flight.exception()  # nobody may be left who wants to know
        else:
            data, version = reading.result()
            name = None if version is None else (version, key[1], len(data))
            content = Content(data, self._digests.of(name, data), version)
            self._keep(key[1], key[2], content)
            flight.set_result(content)

    def _keep(self, offset: int, size: int | None, content: Content) -> None:
        if content.version is None:
            return
        key = (content.version, offset, size)
        self._shared[key] = content
        if len(content.data) > BUDGET:
            return
        if key not in self._recent:
            self._held += len(content.data)
        self._recent[key] = content
        self._recent.move_to_end(key)
        while self._held > BUDGET:
            self._held -= len(self._recent.popitem(last=False)[1].data)
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(QUIET, self._forget)

    def _forget(self) -> None:
        """Nobody boots: the kernel keeps these files as long as it has memory for them."""
        self._recent.clear()
        self._held = 0


def version_of(fd: int) -> Version:
    """Which version of a file this is."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _read_and_close(fd: int, offset: int, size: int | None) -> tuple[bytearray, Version | None]:
    try:
        return _snapshot(fd, offset, size)
    finally:
        os.close(fd)


def _snapshot(fd: int, offset: int, size: int | None) -> tuple[bytearray, Version | None]:
    """Read until nothing changed meanwhile, at most _TRIES times; the last read counts in any case."""
    for _ in range(_TRIES):
        before = version_of(fd)
        data = _read(fd, offset, before[-1] - offset if size is None else size, to_end=size is None)
        stable = version_of(fd) == before
        if stable:
            break
    return data, before if stable else None


def _read(fd: int, offset: int, expected: int, *, to_end: bool) -> bytearray:
    """The bytes from `offset`: `expected` of them, or all up to wherever the end is by now."""
    # One byte more than expected, so that a file that has not grown ends with the first read.
    data = bytearray(_room(expected) + (1 if to_end else 0))
    done = 0
    while piece := os.preadv(fd, [memoryview(data)[done:]], offset + done):
        done += piece
        if to_end and done == len(data):
            data.extend(bytes(_room(done + _STEP) - done))
    del data[done:]
    return data


def _room(size: int) -> int:
    if size > MOST:
        raise OSError(errno.EFBIG, f"larger than {MOST >> 20} MiB")
    return size
