"""The agent's side of `terrible-disk`: asking it for a card, and starting it where no unit does."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from terrible import ownhelper
from terrible.errors import DiskError, HostError
from terrible.storage.messages import DiskRequest, Seen

ANSWER = 20.0
"""Seconds for an answer; the helper itself gives up on a disk after 15."""
_PIECE = 4096
_RIGHTS = socket.CMSG_SPACE(2 * struct.calcsize("i"))
"""Room for more than the one descriptor that is expected; those without room the kernel closes."""


@dataclass(slots=True)
class Card:
    """An open card: nobody can mount it or open it like this until `close`, or the end of who has `fd`.

    `fd` reads and writes, with O_DIRECT: offsets, lengths and addresses are multiples of `seen.sector`.
    """

    fd: int
    seen: Seen

    def close(self) -> None:
        """Give it up; harmless when done again."""
        if self.fd >= 0:
            descriptor, self.fd = self.fd, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DiskHelper:
    """Opens the cards of slots; DiskError when a lock does not hold or the helper does not answer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def check(self) -> None:
        """HostError where nobody listens: before a node is shut down for its card."""
        try:
            async with asyncio.timeout(ANSWER):
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(connection, str(self._path))
        except (OSError, TimeoutError) as error:
            why = f"no answer from terrible-disk at {self._path}: {error}"
            raise HostError(f"{why}; sudo systemctl enable --now terrible-disk.socket") from None

    async def look(self, slot: str) -> Seen:
        """The card at a slot, if it could be opened now."""
        with await self._ask(DiskRequest("look", slot)) as answer:
            return Seen.answered(answer.line)

    async def open(self, slot: str) -> Card:
        """The card at a slot, open; for the caller to close."""
        with await self._ask(DiskRequest("open", slot)) as answer:
            seen = Seen.answered(answer.line)
            if len(answer.descriptors) != 1:
                raise DiskError(f"terrible-disk sent {len(answer.descriptors)} descriptors and not one")
            return Card(answer.descriptors.pop(), seen)

    async def _ask(self, request: DiskRequest) -> _Answer:
        try:
            async with asyncio.timeout(ANSWER):
                return await self._exchange(request.line())
        except TimeoutError as error:
            raise DiskError(f"terrible-disk at {self._path} did not answer within {ANSWER:g} s") from error
        except OSError as error:
            raise DiskError(f"no answer from terrible-disk at {self._path}: {error}") from error

    async def _exchange(self, line: bytes) -> _Answer:
        """Not by streams: they drop descriptors, which come with recvmsg alone."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as connection, ExitStack() as unless_whole:
            connection.setblocking(False)
            await loop.sock_connect(connection, str(self._path))
            await loop.sock_sendall(connection, line)
            answer = unless_whole.enter_context(_Answer())
            while answer.receive(connection):
                await _readable(connection)
            unless_whole.pop_all()
            return answer


async def _readable(connection: socket.socket) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)


@dataclass(slots=True)
class _Answer:
    """What has come of an answer so far; at the end the descriptors that nobody has taken are closed."""

    line: bytes = b""
    descriptors: list[int] = field(default_factory=list)

    def receive(self, connection: socket.socket) -> bool:
        """Take what is there; whether more is to come."""
        try:
            # Not socket.recv_fds: up to Python 3.11 at least it forgets the flags it is given.
            piece, rights, _, _ = connection.recvmsg(_PIECE, _RIGHTS, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return True
        self.line += piece
        for level, kind, data in rights:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                count = len(data) // struct.calcsize("i")
                self.descriptors += struct.unpack_from(f"{count}i", data)
        return bool(piece) and b"\n" not in self.line and len(self.line) < _PIECE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())


@asynccontextmanager
async def start_own(config: Path, path: Path, root: Path = Path("/")) -> AsyncIterator[DiskHelper]:
    """Run a helper of our own, for an agent that runs as root without the units."""
    arguments = ["--config", str(config), "--root", str(root)]
    async with ownhelper.running("terrible.storage.helper", path, arguments):
        yield DiskHelper(path)
