"""A network namespace of this machine, and a TAP device in it whose other end is a file.

The namespace has no name that could be left behind: it lives as long as a process that ends when its
stdin does, hence with the test however that ends. Being the first of its PID namespace, that process takes
everything with it that was started there.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import struct
import subprocess
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_TUN = "/dev/net/tun"
_TOOLS = ("busybox", "ip", "nsenter", "unshare")
_UNSHARE = ("unshare", "--net", "--pid", "--fork", "--kill-child")
_SET_INTERFACE, _TAP, _NO_HEADER = 0x400454CA, 0x0002, 0x1000
"""TUNSETIFF and its flags (linux/if_tun.h)."""
_FRAME = 2048


def missing() -> str | None:
    """Why this machine cannot run nodes, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists(_TUN):
        return f"there is no {_TUN}"
    lacking = [tool for tool in _TOOLS if not shutil.which(tool)]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or None


class Tap:
    """The far end of an Ethernet interface: frames out of it and into it, one per call."""

    def __init__(self) -> None:
        self._file = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        request = struct.pack("16sH22x", b"rig%d", _TAP | _NO_HEADER)
        self.name = fcntl.ioctl(self._file, _SET_INTERFACE, request)[:16].rstrip(b"\0").decode()
        """Free at this moment, as the kernel has chosen."""
        self._turn = asyncio.Lock()

    def write(self, frame: bytes) -> None:
        with suppress(OSError):  # the interface is down, or the frame is none
            os.write(self._file, frame)

    async def read(self) -> bytes:
        async with self._turn:  # who asks first gets the first
            while True:
                try:
                    return os.read(self._file, _FRAME)
                except BlockingIOError:
                    await self._readable()

    def close(self) -> None:
        """The interface goes with its file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def _readable(self) -> None:
        readable = asyncio.Event()
        file, loop = self._file, asyncio.get_running_loop()
        loop.add_reader(file, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(file)


class Namespace:
    """Commands in it end with it at the latest."""

    def __init__(self, holder: int) -> None:
        self.processes: list[Process] = []
        self._holder = holder
        kinds = {"net": "net", "pid": "pid_for_children"}
        self._enter = ("nsenter", *(f"--{kind}=/proc/{holder}/ns/{name}" for kind, name in kinds.items()))

    async def run(self, *argv: str) -> str:
        """What a command says until it ends; it has to end well."""
        process = await self._start(argv)
        said, _ = await process.communicate()
        assert process.returncode == 0, f"{argv}: exit {process.returncode}\n{said.decode()}"
        return said.decode()

    async def serve(self, *argv: str) -> None:
        """Start a command, and wait until it says that it is ready."""
        process = await self._start(argv)
        assert process.stdout
        await process.stdout.readline()

    async def lines(self, *argv: str) -> AsyncIterator[str]:
        """What a command says, while it runs."""
        process = await self._start(argv)
        assert process.stdout
        async for line in process.stdout:
            yield line.decode().rstrip()

    @asynccontextmanager
    async def tap(self, name: str, mac: str) -> AsyncIterator[Tap]:
        """An interface in the namespace, by its far end."""
        tap = Tap()
        try:
            move = ("ip", "link", "set", tap.name, "netns", str(self._holder), "name", name, "address", mac)
            process = await asyncio.create_subprocess_exec(*move)
            assert await process.wait() == 0, move
            yield tap
        finally:
            tap.close()

    async def _start(self, argv: tuple[str, ...]) -> Process:
        process = await asyncio.create_subprocess_exec(*self._enter, *argv, stdout=PIPE, stderr=STDOUT)
        self.processes.append(process)
        return process


@asynccontextmanager
async def namespace() -> AsyncIterator[Namespace]:
    hold = "ip link set lo up; echo; exec cat"
    holder = await asyncio.create_subprocess_exec(*_UNSHARE, "sh", "-c", hold, stdin=PIPE, stdout=PIPE)
    assert holder.stdin
    assert holder.stdout
    inside = Namespace(holder.pid)
    try:
        await holder.stdout.readexactly(1)
        yield inside
    finally:
        holder.stdin.close()
        await holder.wait()
        await asyncio.gather(*(process.wait() for process in inside.processes))
