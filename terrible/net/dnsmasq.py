"""dnsmasq as a child that is back within two seconds, whatever ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from terrible.commands import last_line
from terrible.net import dnsmasq_files
from terrible.net.plan import RUN, Plan
from terrible.net.runfiles import write
from terrible.net.tools import find

log = logging.getLogger(__name__)

CONFIGURATION = RUN / "dnsmasq.conf"
LEASES = RUN / "leases"
PAUSES = (0.1, 0.5, 1.0)
"""Seconds before it is started again: at once, and never so late that a node misses it for two seconds."""
LONG = 5.0
"""Seconds after which a run counts as a good one."""
STOP = 2.0


class Dnsmasq:
    """The DHCP and DNS server of a bridge. `failed` is told why it does not run, empty once it does."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._running: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._mend: Callable[[], None] = lambda: None

    async def serve(self, plan: Plan, subnet: str, anew: bool) -> None:
        """Have it run with this plan: started, told of new hosts by SIGHUP, or started anew.

        `anew`: the bridge is another than it has bound its sockets to.
        """
        anew |= write(CONFIGURATION, dnsmasq_files.configuration(plan, subnet, RUN))
        names = dnsmasq_files.names(plan, subnet)
        told = write(RUN / "hosts", dnsmasq_files.hosts(plan, subnet))
        told |= write(RUN / "names", dnsmasq_files.names_file(names))
        self._mend = partial(_mend_leases, plan, subnet)
        if self._running is None or self._running.done():
            await end_leftover()
            self._running = asyncio.create_task(self._keep_running(), name="dnsmasq")
        elif anew:
            self._signal(signal.SIGTERM)
        elif told:
            self._signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait({running})
        await end_leftover()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep_running(self) -> None:
        failures, told = 0, ""
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            said = await self._run()
            failures = 0 if now() - began > LONG else failures + 1
            if said != told:
                log.warning("dnsmasq has ended: %s", said)
                if failures > 1:
                    self._failed(f"dnsmasq does not run: {said}")
            told = said if failures > 1 else ""
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])

    async def _run(self) -> str:
        """Run it once; why it ended."""
        self._mend()
        argv = [
            find("dnsmasq") or "dnsmasq",
            "--keep-in-foreground",
            "--log-facility=-",
            f"--conf-file={CONFIGURATION}",
        ]
        argv += ["--pid-file=", f"--user={_user()}"]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True
            )
        except OSError as error:
            return f"{error.strerror}; sudo apt install dnsmasq-base"
        self._process = process
        well = asyncio.get_running_loop().call_later(1.0, self._failed, "")
        try:
            said = await _tail(process)
            return f"{last_line(said) or 'no word'} (exit code {await process.wait()})"
        finally:
            well.cancel()
            self._process = None
            await _end(process)


def _mend_leases(plan: Plan, subnet: str) -> None:
    """While nobody has the file open: what is not sound in it would last for hours."""
    try:
        text = LEASES.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return
    write(LEASES, dnsmasq_files.sound(text, plan, subnet))


async def _tail(process: Process) -> bytes:
    """The last of what it says until it ends; all of it is read, or it would wait for us."""
    tail = b""
    assert process.stderr is not None
    while piece := await process.stderr.read(4096):
        tail = (tail + piece)[-4096:]
    return tail


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def running() -> list[int]:
    """The processes that serve our configuration in this network, ours or a killed helper's."""
    ours = f"--conf-file={CONFIGURATION}".encode()
    return [pid for pid in _processes() if ours in _words(pid) and _network(pid) == _network("self")]


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []  # it has just ended


def _network(pid: int | str) -> str:
    """The network namespace of a process; that of another user's is hidden, and taken for ours."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return os.readlink("/proc/self/ns/net")


async def end_leftover() -> None:
    """End what a killed helper has left: it holds the addresses that the next one needs."""
    for pid in running():
        with suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                await _gone(handle)
            finally:
                os.close(handle)


async def _gone(handle: int) -> None:
    """A pidfd becomes readable when its process has ended (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(handle, gone.set)
    try:
        async with asyncio.timeout(STOP):
            await gone.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(handle)


def _user() -> str:
    """Whom it becomes once it has bound its ports: Debian's package brings a user."""
    try:
        return pwd.getpwnam("dnsmasq").pw_name
    except KeyError:
        return "nobody"
