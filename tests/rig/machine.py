"""The head as a virtual machine: QEMU's life, its hub's power, and commands in the guest."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from . import image, trace
from .guest.execd import PORT
from .qmp import Qmp
from .remote import Remote

READY = "rig: ready"
_APPEND = (
    "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=1 tsc=reliable apparmor=0 security=none "
    "audit=0 8250.nr_uarts=1 cryptomgr.notests no_timer_check"
)
PowerCallback = Callable[[int, bool], None]


class MachineError(Exception):
    """The virtual machine did not start, or has died."""


class Machine(Remote):
    """`async with Machine() as head: await head.run(["uhubctl"])`. Hub 1-1 has `ports` ports."""

    def __init__(self, *, ports: int = 4, overlays: Sequence[Path] = (), start_limit: float = 120) -> None:
        self.ports = ports
        self.powered: dict[int, bool] = dict.fromkeys(range(1, ports + 1), False)
        self.console: deque[str] = deque(maxlen=400)
        self._overlays = overlays
        self._limit = start_limit
        self._watchers: list[PowerCallback] = []
        self._ready = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def socket(self, port: int) -> Path:
        """Where the usbredir peer of a hub port connects."""
        return self._directory / f"pi{port}.sock"

    def watch_power(self, callback: PowerCallback) -> None:
        """Have `callback(port, on)` called at every change, and now for each port that is on."""
        self._watchers.append(callback)
        for port, on in self.powered.items():
            if on:
                callback(port, on)

    def unwatch_power(self, callback: PowerCallback) -> None:
        self._watchers.remove(callback)

    async def qmp(self, command: str, **arguments: object) -> Any:
        return await self._qmp.execute(command, **arguments)

    async def forward(self, guest_port: int) -> int:
        """A free port of the host's loopback that leads to `guest_port` from now on."""
        await self._qmp.monitor(f"hostfwd_add n0 tcp:127.0.0.1:0-:{guest_port}")
        return await self._forwarded(guest_port)

    # -- start and end -----------------------------------------------------------------------------
    async def _start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="rig-"))
        self._stack.callback(shutil.rmtree, self._directory, ignore_errors=True)
        built = await asyncio.to_thread(self._archives)
        self._process = await asyncio.create_subprocess_exec(
            *self._argv(built),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the test, which ends the machine in its own order
        )
        self._stack.push_async_callback(self._stop)
        assert self._process.stdout
        assert self._process.stderr
        self._pumps = [
            asyncio.create_task(self._read_console(self._process.stdout)),
            asyncio.create_task(self._read_trace(self._process.stderr)),
        ]
        await self._until_ready()
        self._qmp = await Qmp.connect(self._directory / "qmp.sock")
        self._stack.callback(self._qmp.close)
        super().__init__(await self._forwarded(PORT))

    async def _until_ready(self) -> None:
        died = asyncio.create_task(self._process.wait())
        ready = asyncio.create_task(self._ready.wait())
        try:
            async with asyncio.timeout(self._limit):
                await asyncio.wait([died, ready], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise MachineError(f"not ready in {self._limit} s\n{self.console_tail()}") from None
        finally:
            died.cancel()
            ready.cancel()
        if not self._ready.is_set():
            await asyncio.wait(self._pumps)
            raise MachineError(f"QEMU ended with {self._process.returncode}\n{self.console_tail()}")

    async def _stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.wait(self._pumps)

    def console_tail(self, lines: int = 40) -> str:
        """The last lines of the guest's console and of QEMU's complaints."""
        return "\n".join([*self.console][-lines:])

    # -- what QEMU says and is told ----------------------------------------------------------------
    async def _read_console(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.console.append(line.decode(errors="replace").rstrip())
            if READY in self.console[-1]:
                self._ready.set()

    async def _read_trace(self, stream: asyncio.StreamReader) -> None:
        while line := (await stream.readline()).decode(errors="replace"):
            if change := trace.power_change(line):
                self._switched(*change)
            elif not any(event in line for event in trace.EVENTS):
                self.console.append(f"qemu: {line.rstrip()}")

    def _switched(self, port: int, on: bool) -> None:
        if self.powered.get(port) == on:
            return
        self.powered[port] = on
        for watcher in self._watchers:
            watcher(port, on)

    async def _forwarded(self, guest_port: int) -> int:
        table = await self._qmp.monitor("info usernet")
        found = re.search(rf"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+{guest_port}\s", table)
        if not found:
            raise MachineError(f"no forward to {guest_port}:\n{table}")
        return int(found[1])

    def _archives(self) -> image.Image:
        built = image.build()
        run = image.checkout(built, self._directory / "checkout.cpio")
        with (self._directory / "initrd").open("wb") as initrd:
            for archive in (built.archive, *self._overlays, run):
                initrd.write(archive.read_bytes())
        return built

    def _argv(self, built: image.Image) -> list[str]:
        directory = self._directory
        argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]
        argv += ["-m", os.environ.get("RIG_MEMORY", "768"), "-nodefaults", "-no-user-config"]
        argv += ["-display", "none", "-no-reboot", "-serial", "stdio"]
        argv += ["-kernel", str(built.kernel), "-initrd", str(directory / "initrd"), "-append", _APPEND]
        argv += ["-qmp", f"unix:{directory}/qmp.sock,server=on,wait=off"]
        # Host port 0: the kernel chooses, and `info usernet` tells; no race for a free one.
        argv += ["-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:0-:{PORT}"]
        argv += ["-device", "virtio-net-pci,netdev=n0,romfile="]
        argv += ["-device", "qemu-xhci,id=xhci"]
        argv += ["-device", f"usb-hub,id=hub,bus=xhci.0,port=1,port-power=on,ports={self.ports}"]
        for event in trace.EVENTS:
            argv += ["-trace", f"enable={event}"]
        for port in range(1, self.ports + 1):
            argv += ["-chardev", f"socket,id=pi{port},path={self.socket(port)},server=on,wait=off"]
            argv += ["-device", f"usb-redir,id=pi{port},chardev=pi{port},bus=xhci.0,port=1.{port}"]
        return argv
