"""The test's end of `guest/execd.py`: run, spawn, put and get in the guest."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

_LENGTHS = struct.Struct(">II")
_Frame = tuple[dict[str, Any], bytes]


class GuestError(Exception):
    """The guest could not do it, or a checked command failed."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    rc: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


class Process:
    """A background command. It dies with the `spawn` block that started it."""

    def __init__(self, connection: _Connection, pid: int) -> None:
        self.pid = pid
        self.output: list[str] = []
        """Every line so far, of both streams."""
        self.rc: int | None = None
        self._connection = connection
        self._unread = 0
        self._news = asyncio.Condition()

    async def signal(self, number: int = signal.SIGTERM) -> None:
        await self._connection.send({"signal": number})

    async def wait(self, timeout: float = 60) -> int:
        """The exit status, negative for a signal as in `subprocess`."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: self.rc is not None)
        assert self.rc is not None
        return self.rc

    async def line(self, timeout: float = 60) -> str:
        """The next unread line of output."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: self._unread < len(self.output) or self.rc is not None)
        if self._unread == len(self.output):
            raise GuestError(f"ended with {self.rc}, after:\n{self.tail()}")
        self._unread += 1
        return self.output[self._unread - 1]

    async def expect(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Read on to the next line that `pattern` is found in."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    if found := re.search(pattern, await self.line(timeout)):
                        return found
        except TimeoutError:
            raise GuestError(f"no {pattern!r} in {timeout} s, but:\n{self.tail()}") from None

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.output[-lines:])

    async def _follow(self) -> None:
        while self.rc is None:
            try:
                head, body = await self._connection.receive()
            except GuestError as error:
                head, body = {"rc": -1}, b""
                self.output.append(f"({error})")
            async with self._news:
                if "rc" in head:
                    self.rc = head["rc"]
                else:
                    self.output.append(body.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()


class Remote:
    """Operations in the guest, each over a connection of its own, any number at once."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> Result:
        """Run a command to its end. When this is cancelled or times out, the command is killed."""
        request = {"do": "run", "argv": list(argv), "env": dict(env or {}), "user": user}
        async with asyncio.timeout(timeout):
            head, body = await self._ask(request, stdin)
        result = Result(head["rc"], body[: head["stdout"]], body[head["stdout"] :])
        if check and result.rc:
            raise GuestError(f"{' '.join(argv)}: exit {result.rc}\n{body.decode(errors='replace')}")
        return result

    async def until(self, condition: str, timeout: float = 20) -> None:
        """Wait for a shell command to succeed, asking in the guest itself."""
        try:
            await self.run(["sh", "-c", f"until {condition}; do usleep 20000; done"], timeout=timeout)
        except TimeoutError:
            raise GuestError(f"not in {timeout} s: {condition}") from None

    @asynccontextmanager
    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> AsyncIterator[Process]:
        """A command in the background, killed at the end of the block if it still runs."""
        async with self._connect() as connection:
            await connection.send({"do": "spawn", "argv": list(argv), "env": dict(env or {}), "user": user})
            process = Process(connection, (await connection.receive())[0]["pid"])
            follower = asyncio.create_task(process._follow())
            try:
                yield process
            finally:
                follower.cancel()
                await asyncio.wait([follower])

    async def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, and the directories above it."""
        await self._ask({"do": "put", "path": path, "mode": mode}, data)

    async def get(self, path: str) -> bytes:
        return (await self._ask({"do": "get", "path": path}))[1]

    async def _ask(self, request: dict[str, Any], body: bytes = b"") -> _Frame:
        async with self._connect() as connection:
            await connection.send(request, body)
            return await connection.receive()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[_Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            yield _Connection(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        encoded = json.dumps(head).encode()
        self._writer.write(_LENGTHS.pack(len(encoded), len(body)) + encoded + body)
        await self._writer.drain()

    async def receive(self) -> _Frame:
        try:
            head_length, body_length = _LENGTHS.unpack(await self._reader.readexactly(_LENGTHS.size))
            head: dict[str, Any] = json.loads(await self._reader.readexactly(head_length))
            body = await self._reader.readexactly(body_length)
        except asyncio.IncompleteReadError as error:
            raise GuestError("the guest closed the connection") from error
        if "error" in head:
            raise GuestError(head["error"])
        return head, body
