"""`terrible-net`: the process that may change the head's network, for a handful of typed requests.

It reads the root-owned configuration itself and finds every interface itself, by the location of its slot. So
whoever speaks to it can have the configured network up, mended or down, and nothing else.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from terrible.errors import HostError
from terrible.net import bridge, messages
from terrible.net.head import Head, take_down
from terrible.net.messages import NetRequest
from terrible.net.plan import RUN, Plan, Standing
from terrible.net.runfiles import applied
from terrible.peers import Refused, check_peer

log = logging.getLogger(__name__)

REQUEST_LIMIT = 5.0
"""Seconds for the line of a request; a caller who says nothing holds nobody up, but is not kept for ever."""
WATCHERS = 32
LOCK = RUN / "lock"
SYSTEMD_SOCKET = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""


class Helper:
    """Serves one socket. `load` reads the configuration afresh; HostError where it is of no use."""

    def __init__(self, load: Callable[[], Plan]) -> None:
        self._load = load
        self._head: Head | None = None
        self._turn = asyncio.Lock()
        self._watchers: set[asyncio.Queue[Standing]] = set()
        self._over = asyncio.Event()

    async def serve(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until told `down` or cancelled; in both cases the network is down afterwards."""
        server = await asyncio.start_unix_server(self._connected, sock=listener, limit=messages.LONGEST)
        try:
            if (before := applied()) is not None:  # a killed helper's: the nodes have waited long enough
                await self._resume(before.subnet)
            ready()
            await self._over.wait()
        finally:
            server.close()
            async with self._turn:
                self._over.set()
                await self._end()

    async def _end(self) -> None:
        """The network is down afterwards, also one of an earlier helper that could not be carried on."""
        head, self._head = self._head, None
        if head is not None:
            await head.down()
        elif (before := applied()) is not None:
            await take_down(before)

    async def _resume(self, subnet: str) -> None:
        try:
            await self._apply(subnet)
        except (HostError, OSError) as error:
            log.warning("what an earlier terrible-net has set up cannot be carried on: %s", error)

    # -- requests ---------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            check_peer(writer.get_extra_info("socket"))
            async with asyncio.timeout(REQUEST_LIMIT):
                line = await reader.readline()
            request = messages.parse(line)
            if request.op == "watch":
                await self._watch(reader, writer)
            else:
                writer.write(messages.done(await self._done(request)))
                await writer.drain()
        except (Refused, HostError) as error:
            writer.write(messages.refusal(str(error)))
        except (TimeoutError, OSError, ValueError):
            pass  # it said nothing, too much, or has gone
        finally:
            writer.close()

    async def _done(self, request: NetRequest) -> Standing:
        try:
            return await self._do(request)
        except OSError as error:  # a full /run, say: the caller has to know
            raise HostError(str(error)) from error

    async def _do(self, request: NetRequest) -> Standing:
        """One at a time; the standing afterwards."""
        async with self._turn:
            if self._over.is_set():
                raise Refused("the network is going down")
            match request.op:
                case "apply" | "reload":
                    await self._apply(request.prefer)
                case "join":
                    await self._join(request.slot)
                case "down":
                    await self._down()
        return self._head.standing if self._head else Standing()

    async def _apply(self, prefer: str) -> None:
        """Have the network as the configuration is now; one that cannot be used leaves it as it was."""
        plan, head = self._load(), self._head
        if head is not None and (head.plan.bridge, head.plan.mac) == (plan.bridge, plan.mac):
            await (head.mend() if plan == head.plan else head.take(plan))
            return
        if head is not None:
            await bridge.check(plan)  # before the old one is down for it
            self._head = None
            await head.down()
        self._head = Head(plan, self._tell)
        try:
            await self._head.up(prefer)
        except BaseException:
            failed, self._head = self._head, None
            await failed.down()
            raise

    async def _join(self, slot: int) -> None:
        if self._head is None:
            raise Refused("the network is not up; ask for apply first")
        if slot not in {one.number for one in self._head.plan.slots}:
            raise Refused(f"{slot} is no slot of the configuration")
        await self._head.join()

    async def _down(self) -> None:
        await self._end()
        self._over.set()

    # -- watchers -----------------------------------------------------------------------------------

    async def _watch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Lines for as long as the watcher stays; one who does not read gets the newest when it does."""
        if len(self._watchers) >= WATCHERS:
            raise Refused(f"{WATCHERS} are watching already")
        queue: asyncio.Queue[Standing] = asyncio.Queue()
        self._watchers.add(queue)
        gone = asyncio.create_task(reader.read(1), name="watcher")
        standing = self._head.standing if self._head else Standing()
        try:
            while not gone.done():
                writer.write(messages.done(standing))
                await writer.drain()
                standing = await self._next(queue, gone) or standing
        finally:
            self._watchers.discard(queue)
            gone.cancel()

    async def _next(self, queue: asyncio.Queue[Standing], gone: asyncio.Task[bytes]) -> Standing | None:
        news = asyncio.create_task(queue.get())
        await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not news.done():
            news.cancel()
            return None
        standing = news.result()
        while not queue.empty():
            standing = queue.get_nowait()
        return standing

    def _tell(self, standing: Standing) -> None:
        for queue in self._watchers:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(standing)


def listener(path: Path | None) -> socket.socket:
    """The socket from systemd, else one for this user alone."""
    if path is None:
        if os.environ.get("LISTEN_FDS") != "1":
            raise HostError("systemd passed no socket; name one with --socket")
        return socket.socket(fileno=SYSTEMD_SOCKET)
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    old = os.umask(0o177)
    try:
        made.bind(str(path))
    finally:
        os.umask(old)
    made.listen(socket.SOMAXCONN)
    return made


@contextmanager
def own() -> Iterator[None]:
    """Be the only one who changes this head's network. HostError if somebody else does."""
    with _locked():
        try:
            yield
        finally:
            LOCK.unlink(missing_ok=True)
            with suppress(OSError):  # what is left in it is for the next one
                RUN.rmdir()


def _locked() -> TextIO:
    """The lock, held. Whoever had it may remove the file and its directory at any moment: then once more."""
    while True:
        with suppress(FileNotFoundError), ExitStack() as stack:
            with suppress(FileExistsError):  # `exist_ok` would look again, when it may be gone
                RUN.mkdir(mode=0o755)
            held = stack.enter_context(LOCK.open("w"))
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HostError("another terrible-net is at work; ask it, or stop it first") from None
            if os.path.samestat(os.fstat(held.fileno()), LOCK.stat()):
                stack.pop_all()
                return held


def remove(path: Path | None) -> None:
    """The socket that `listener` has made."""
    if path is not None:
        with suppress(OSError):
            path.unlink()
