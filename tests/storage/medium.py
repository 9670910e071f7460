"""A card as it may be: slow, worn, fake, pulled, or cut off from its power in the middle of a write."""

from __future__ import annotations

import errno
import mmap
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import sleep

SECTOR = 512


@dataclass
class Medium:
    """What is under a loop device. Everything may be changed while it runs.

    `rate` in bytes a second. At operation `moment`, an index of `log`, `then` is called. With `cached` what
    is written is safe only after a flush, and `cut` loses a random part of the rest.
    """

    size: int
    rate: float | None = None
    moment: int | None = None
    then: Callable[[], None] | None = None
    cached: bool = False
    forgets: bool = True
    """Whether what is discarded reads zeros afterwards, as the kernel promises in no case."""
    keeps: int | None = None
    """The sector at this byte keeps its content all the same."""
    unreadable: int | None = None
    unwritable: int | None = None
    flips: int | None = None
    """A byte that does not keep what is written."""
    dead: bool = False
    log: list[tuple[str, int, int]] = field(default_factory=list)
    """What was asked of it: read, write, flush or discard, offset, length."""
    chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.now = mmap.mmap(-1, self.size)
        self.kept = mmap.mmap(-1, self.size) if self.cached else self.now
        self._unsafe: list[tuple[int, int]] = []

    def fill(self, content: bytes) -> None:
        """What was on it before."""
        self.now[: len(content)] = content
        if self.cached:
            self.kept[: len(content)] = content

    def cut(self) -> None:
        """The power goes: sectors that were not flushed are on the card or not, as it happens."""
        for offset, length in self._unsafe:
            for sector in range(offset, offset + length, SECTOR):
                if self.chance.random() < 0.5:
                    self._keep(sector, SECTOR)
        self.dead = True

    def read(self, offset: int, length: int) -> bytes:
        self._operate("read", offset, length)
        if self.unreadable is not None and offset <= self.unreadable < offset + length:
            raise OSError(errno.EIO, "read")
        return self.now[offset : offset + length]

    def write(self, offset: int, data: bytes) -> None:
        self._operate("write", offset, len(data))
        if self.unwritable is not None and offset <= self.unwritable < offset + len(data):
            raise OSError(errno.EIO, "write")
        self.now[offset : offset + len(data)] = data
        if self.flips is not None and offset <= self.flips < offset + len(data):
            self.now[self.flips] ^= 0x40
        self._unsafe.append((offset, len(data)))

    def flush(self) -> None:
        self._operate("flush", 0, 0)
        for offset, length in self._unsafe:
            self._keep(offset, length)
        self._unsafe.clear()

    def discard(self, offset: int, length: int) -> None:
        self._operate("discard", offset, length)
        if self.forgets:
            kept = self.now[self.keeps : self.keeps + SECTOR] if self.keeps is not None else b""
            self.now[offset : offset + length] = bytes(length)
            if self.keeps is not None:
                self.now[self.keeps : self.keeps + SECTOR] = kept
            self._unsafe.append((offset, length))

    def _keep(self, offset: int, length: int) -> None:
        if self.cached:
            self.kept[offset : offset + length] = self.now[offset : offset + length]

    def _operate(self, what: str, offset: int, length: int) -> None:
        if len(self.log) == self.moment and self.then:
            self.then()
        self.log.append((what, offset, length))
        if self.dead:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.rate:
            sleep(length / self.rate)  # how a slow card is, not how a test waits
