"""Both halves of a USB boot as the host plays them: bootcode to the ROM, files to the second stage.

The exchange is a strict ping-pong that the host polls. A read that is given up and issued again may
swallow the answer to the first one (rpi-imager file_server.cpp:21-40, and 5 of 80 in our own rig), so
every read is issued once, with a long limit; after that only a power cycle helps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from terrible.errors import BootError, DeviceLeft
from terrible.limits import Limits
from terrible.seams import Link
from terrible.usb import rpiboot
from terrible.usb.bootfiles import Found, Missing
from terrible.usb.rpiboot import BadRequest, Kind, Request

File = Found | Missing


class Witness(Protocol):
    """Who is told what happens while files are served."""

    def serving(self, file: File) -> None:
        """The node reads this file now."""

    def sent(self, count: int) -> None:
        """So many more bytes went over the bus."""

    def served(self, file: File) -> None:
        """The node has all of it, or knows that there is none."""

    def noted(self, key: str, value: str) -> None:
        """The node said this about itself."""

    def bad_request(self, what: str) -> int:
        """The node sent nonsense; returns how often it did so far."""


Find = Callable[[str], Awaitable[File]]


async def send_bootcode(
    link: Link, bootcode: bytes | bytearray, signature: bytes, limits: Limits, sent: Callable[[int], None]
) -> None:
    """Give the ROM its first stage; BootError when it refuses it.

    A Pi 4 or 5 may be gone before it reports (rpi-imager bootcode_loader.cpp:74-89); a Zero needs its
    result read, which also takes an errata packet out of the way.
    """
    await _send(link, rpiboot.boot_header(len(bootcode), signature), limits, lambda _: None)
    await _send(link, bootcode, limits, sent)
    try:
        result = rpiboot.boot_result(await link.control_in(rpiboot.RESULT_SIZE, limits.control_in))
    except DeviceLeft:
        return
    except BadRequest as error:
        raise BootError(str(error)) from None
    if result != 0:
        raise BootError(f"the ROM refused the bootcode (result {result})")


async def serve_files(link: Link, find: Find, limits: Limits, witness: Witness) -> None:
    """Answer the second stage until it is done; a device that leaves between requests is done too.

    DeviceLeft if it leaves in the middle of one, or before it had asked for anything.
    """
    session = _Session(link, find, limits, witness)
    while True:
        try:
            data = await link.control_in(rpiboot.REQUEST_SIZE, limits.control_in)
        except DeviceLeft:
            if session.answered:
                return
            raise
        if not await session.answer(data):
            return


class _Session:
    """What one second stage has asked so far."""

    def __init__(self, link: Link, find: Find, limits: Limits, witness: Witness) -> None:
        self._link, self._find, self._limits, self._witness = link, find, limits, witness
        self._sized: File | None = None
        self.answered = 0

    async def answer(self, data: bytes) -> bool:
        """Answer one request; False when it was the last."""
        try:
            request = rpiboot.parse_request(data)
        except BadRequest as error:
            await self._tolerate(error)
            return True
        if request.kind is Kind.DONE:
            return False
        await self._reply(request)
        self.answered += 1
        return request.kind is not Kind.EMPTY

    async def _reply(self, request: Request) -> None:
        match request.kind:
            case Kind.SIZE:
                self._sized = await self._find(request.name)
                await _announce(self._link, len(self._sized.content), self._limits)
                if not self._sized.content:
                    self._witness.served(self._sized)
            case Kind.READ:
                await self._send_file(await self._snapshot(request.name))
            case Kind.METADATA:
                key, value = rpiboot.metadata_entry(request.name) or ("", "")
                self._witness.noted(key, value)
                await _announce(self._link, 0, self._limits)
            case Kind.EMPTY:
                with suppress(BootError):  # it is done, and may have left already
                    await _announce(self._link, 0, self._limits)

    async def _snapshot(self, name: str) -> File:
        """The very content whose size was told, even if the file has been replaced since."""
        sized, self._sized = self._sized, None
        return sized if sized is not None and sized.name == name else await self._find(name)

    async def _send_file(self, file: File) -> None:
        self._witness.serving(file)
        await _send(self._link, file.content, self._limits, self._witness.sent)
        self._witness.served(file)

    async def _tolerate(self, error: BadRequest) -> None:
        count = self._witness.bad_request(str(error))
        if count > self._limits.bad_requests:
            raise BootError(f"{count} malformed requests, the last: {error}")
        await _announce(self._link, 0, self._limits)


async def _send(link: Link, data: bytes | bytearray, limits: Limits, sent: Callable[[int], None]) -> None:
    """Announce, then send; nothing follows the announcement of 0 bytes."""
    await _announce(link, len(data), limits)
    if data:
        await link.bulk_out(data, limits.bulk_out, sent)


async def _announce(link: Link, length: int, limits: Limits) -> None:
    await link.control_out(*rpiboot.announcement(length), limits.control_out)
