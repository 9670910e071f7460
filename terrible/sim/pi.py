"""One model of a Pi that boots over USB, told from the device's side.

`power_on` reads as what a Pi does, in the order real firmware does it (the request order of a Zero is
in usbboot issues 13 and 30). It speaks the real wire format through a `Wire` and appears on a `Plug`;
which of them, a simulated port or a virtual machine's, it does not know.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from terrible.sim.families import DISK, GADGET, ZERO, Family
from terrible.sim.faults import HOSTILE_NAMES, MALFORMED, Fault, Kind
from terrible.sim.wire import Wire, WireGone
from terrible.usb.identify import Descriptors

ORDER = (
    "autoboot.txt",
    "config.txt",
    "recovery.elf",
    "start.elf",
    "fixup.dat",
    "recovery.elf",
    "config.txt",
    "dt-blob.bin",
    "cmdline.txt",
    "recovery7.img",
    "kernel.img",
    "armstub.bin",
    "bcm2708-rpi-zero.dtb",
    "config.txt",
    "overlays/dwc2.dtbo",
)
"""What a Zero asks for, misses included."""
REQUIRED = frozenset({"start.elf", "kernel.img"})
"""Without these the firmware stops for good, still attached or not at all."""

MASS_STORAGE = b"mass storage"
"""What the start.elf of simulated mass-storage firmware begins with: it shows the card, without a kernel."""

_HEADER = 24
_REQUEST = 260
_GET_SIZE, _READ, _DONE = 0, 1, 2


class Plug(Protocol):
    """The socket a Pi is plugged into."""

    def attach(self, descriptors: Descriptors) -> Wire:
        """Appear on the bus; every attach gets a wire of its own."""

    def detach(self) -> None:
        """Leave the bus; the wire's transfers fail."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between a Pi's steps; the gap is what usbboot issues 9, 12 and 130 measured."""

    rom: float = 0.4
    gap: float = 1.3
    request: float = 0.002
    initramfs_pause: float = 0.5
    kernel: float = 4.0

    def scaled(self, speed: float) -> Timing:
        """The same Pi on a clock that runs `speed` times as fast."""
        seconds = (self.rom, self.gap, self.request, self.initramfs_pause, self.kernel)
        return Timing(*(value / speed for value in seconds))


@dataclass
class Pi:
    """A board: what it is, how fast, what is wrong with it, and what it has read in this boot.

    `running` is whether software of its own runs on it, which a power cut would hurt.
    """

    family: Family = ZERO
    timing: Timing = Timing()
    faults: Sequence[Fault] = ()
    order: Sequence[str] = ORDER
    becomes: Descriptors = GADGET
    metadata: Sequence[str] = ()
    chance: random.Random = field(default_factory=random.Random)
    read: dict[str, str | None] = field(default_factory=dict)
    bootcode: str | None = None

    def __post_init__(self) -> None:
        self._orders: asyncio.Queue[str] = asyncio.Queue()
        self._answers = {True: asyncio.Event(), False: asyncio.Event()}
        self.running = False
        self._shows_card = False
        self._set_answering(False)

    async def power_on(self, plug: Plug) -> None:
        """Live from power to power cut: the caller cancels this when the port loses power."""
        self._orders = asyncio.Queue()
        self.read, self.bootcode = {}, None
        try:
            while await self._boot(plug) and await self._run(plug):
                await asyncio.sleep(self.timing.gap)
            await asyncio.Event().wait()
        finally:
            self.running = False
            self._set_answering(False)

    async def answering(self, wanted: bool) -> None:
        """Return once the running node answers, or no longer does."""
        await self._answers[wanted].wait()

    def tell(self, order: str) -> None:
        """What a person does on the node: `reboot`, `poweroff`, `hang` or `recover`."""
        self._orders.put_nowait(order)

    # -- the boot, stage by stage -------------------------------------------------------------

    async def _boot(self, plug: Plug) -> bool:
        """From power to the kernel; False where this Pi stops for good."""
        try:
            while await self._takes_bootcode(plug):
                await asyncio.sleep(self.timing.gap)
                if not self._fails(Kind.ROM_AGAIN):
                    return await self._takes_files(plug)
        except WireGone:
            pass
        return False

    async def _takes_bootcode(self, plug: Plug) -> bool:
        """Be a ROM; False where nothing follows it."""
        await asyncio.sleep(self.timing.rom)
        if not await self._rom(plug.attach(self.family.rom)):
            return False
        plug.detach()
        return not self._fails(Kind.ROM_VANISHES)

    async def _takes_files(self, plug: Plug) -> bool:
        """Be a second stage; False where no kernel follows it."""
        if not await self._loader(plug.attach(self.family.loader)):
            return False
        plug.detach()
        await asyncio.sleep(self.timing.gap if self._shows_card else self.timing.kernel)
        return not self._fails(Kind.KERNEL_PANICS)

    async def _rom(self, wire: Wire) -> bool:
        """Take the header and the bootcode, then report 0, or a refusal."""
        if self._fails(Kind.BOOTCODE_STALLS):
            wire.refuse_bulk()
        (length,) = struct.unpack_from("<i", await self._receive(wire))
        if self._fails(Kind.ROM_HANGS):
            await asyncio.Event().wait()
        bootcode = await self._receive(wire)
        self.bootcode = hashlib.sha256(bootcode).hexdigest()
        refused = self._fails(Kind.ROM_REJECTS) or length != len(bootcode)
        if refused or self.family.reports:
            await wire.answer(struct.pack("<i", 1 if refused else 0))
        if refused:
            await asyncio.Event().wait()
        return True

    async def _loader(self, wire: Wire) -> bool:
        """Ask for every file in order; False where a required one is missing."""
        if self._fails(Kind.LOADER_SILENT):
            await asyncio.Event().wait()
        self.read, self._shows_card = {}, False
        await self._misbehave(wire)
        for entry in self.metadata:
            await self._ask(wire, _GET_SIZE, entry)
        for name in self.order:
            found = await self._fetch(wire, name)
            if name == "start.elf" and self._fails(Kind.STALLS_AFTER_START):
                await asyncio.Event().wait()
            if self._shows_card:
                break
            if not found and name in REQUIRED:
                await asyncio.Event().wait()
        await wire.answer(_request(_DONE, ""))
        return True

    async def _run(self, plug: Plug) -> bool:
        """The kernel is up: be a gadget or a disk until told otherwise; True to reboot."""
        plug.attach(DISK if self._shows_card else self.becomes)
        self.running = True
        self._set_answering(not self._shows_card)
        while True:
            order = await self._orders.get()
            self._set_answering(order == "recover")
            if order in ("reboot", "poweroff"):
                self.running = False
                plug.detach()
                return order == "reboot"

    def _set_answering(self, answering: bool) -> None:
        self._answers[answering].set()
        self._answers[not answering].clear()

    # -- the wire format ----------------------------------------------------------------------

    async def _fetch(self, wire: Wire, name: str) -> bool:
        """Ask for one file's size and, where there is one, its content."""
        await asyncio.sleep(self.timing.request)
        size = await self._ask(wire, _GET_SIZE, name)
        if size == 0:
            self.read.setdefault(name, None)
            return False
        if await self._ask(wire, _READ, name) != size:
            self.read[name] = "size changed between the two requests"
            return False
        content = await wire.take(size)
        self.read[name] = hashlib.sha256(content).hexdigest()
        self._shows_card |= name == "start.elf" and content.startswith(MASS_STORAGE)
        if name == "cmdline.txt":
            await asyncio.sleep(self.timing.initramfs_pause)
        return True

    async def _ask(self, wire: Wire, command: int, name: str) -> int:
        await wire.answer(_request(command, name))
        return await wire.announced()

    async def _receive(self, wire: Wire) -> bytes:
        return await wire.take(await wire.announced())

    async def _misbehave(self, wire: Wire) -> None:
        for malformed in MALFORMED:
            if self._fails(Kind.MALFORMED):
                await wire.answer(malformed)
                await wire.announced()
        if self._fails(Kind.HOSTILE_NAMES):
            for name in HOSTILE_NAMES:
                self.read[name] = None if await self._ask(wire, _GET_SIZE, name) == 0 else "served"

    def _fails(self, kind: Kind) -> bool:
        return any(fault.strikes(self.chance) for fault in self.faults if fault.kind is kind)


def _request(command: int, name: str) -> bytes:
    return struct.pack("<i256s", command, name.encode("latin-1"))


__all__ = ["DISK", "GADGET", "ORDER", "REQUIRED", "Pi", "Plug", "Timing"]
