"""A Pi's card behind its mass-storage firmware: USB's bulk-only transport and the SCSI that Linux needs.

Universal Serial Bus Mass Storage Class, Bulk-Only Transport 1.0; SCSI as drivers/scsi/sd.c asks it.
"""

from __future__ import annotations

import asyncio
import struct

from terrible.sim.wire import Stall

from .card import SECTOR, Card
from .usbredir import Setup

_COMMAND, _STATUS = struct.Struct("<IIIBBB16s"), struct.Struct("<IIIB")
_COMMAND_SIGNATURE, _STATUS_SIGNATURE = 0x43425355, 0x53425355
_GOOD, _FAILED = 0, 1
_NO_SENSE, _MEDIUM_ERROR, _ILLEGAL_REQUEST = 0, 3, 5
_GET_MAX_LUN, _RESET = 0xFE, 0xFF


class StorageFunction:
    """One command at a time: its block, its data, its status."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._sense = _NO_SENSE
        self._out: tuple[int, int, int, int] | None = None
        """While data comes in: tag, first byte, bytes expected, bytes taken."""
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._turn = asyncio.Lock()

    async def control(self, setup: Setup) -> bytes:
        if setup.request == _GET_MAX_LUN:
            return b"\0"
        if setup.request == _RESET:
            self._out, self._answers = None, asyncio.Queue()
            return b""
        raise Stall

    async def bulk_out(self, endpoint: int, data: bytes) -> None:
        """The card may take its time: what comes meanwhile waits."""
        async with self._turn:
            if self._out is not None:
                await self._take(data)
                return
            signature, tag, length, _, _, size, block = _COMMAND.unpack(data)
            if signature != _COMMAND_SIGNATURE:
                raise Stall
            await self._command(tag, length, block[:size])

    async def bulk_in(self, endpoint: int, length: int) -> bytes:
        """What is due next: a data phase may be asked for in several transfers."""
        data = await self._answers.get()
        if len(data) > length:
            rest, waiting = data[length:], self._answers
            self._answers = asyncio.Queue()
            self._answers.put_nowait(rest)
            while not waiting.empty():
                self._answers.put_nowait(waiting.get_nowait())
        return data[:length]

    async def interrupt(self, endpoint: int) -> bytes:
        await asyncio.Event().wait()
        return b""

    def close(self) -> None:
        """The card itself stays what it is."""

    # -- commands ------------------------------------------------------------------------------------

    async def _command(self, tag: int, length: int, block: bytes) -> None:
        operation = block[0]
        if operation in (0x2A, 0x8A):
            offset, _ = _place(block)
            if self._card.refuses(True, offset):
                self._sense = _MEDIUM_ERROR
                self._out = tag, -1, length, 0
            else:
                self._out = tag, offset, length, 0
            return
        data = await self._data(operation, block)
        if data is None:
            self._status(tag, length, _FAILED, padding=length)
        else:
            if length:
                self._answers.put_nowait(data[:length])
            self._status(tag, length - min(length, len(data)), _GOOD)

    async def _data(self, operation: int, block: bytes) -> bytes | None:
        """The answer to a command that reads; None where it fails."""
        sectors = self._card.size // SECTOR
        match operation:
            case 0x00 | 0x1B | 0x1E | 0x35 | 0x91:  # ready, start/stop, removal, synchronize cache
                return b""
            case 0x12 if block[1] & 1:  # no vital product data
                self._sense = _ILLEGAL_REQUEST
                return None
            case 0x12:
                return bytes([0, 0x80, 4, 2, 31, 0, 0, 0]) + b"Linux   File-Stor Gadget0001"
            case 0x03:
                sense, self._sense = self._sense, _NO_SENSE
                return bytes([0x70, 0, sense, 0, 0, 0, 0, 10]).ljust(18, b"\0")
            case 0x25:
                return struct.pack(">II", sectors - 1, SECTOR)
            case 0x9E:
                return struct.pack(">QI", sectors - 1, SECTOR).ljust(32, b"\0")
            case 0x1A:
                return bytes([3, 0, 0, 0])
            case 0x28 | 0x88:
                offset, size = _place(block)
                if self._card.refuses(False, offset):
                    self._sense = _MEDIUM_ERROR
                    return None
                return await self._card.give(offset, size)
        self._sense = _ILLEGAL_REQUEST
        return None

    async def _take(self, data: bytes) -> None:
        assert self._out is not None
        tag, offset, expected, taken = self._out
        if offset >= 0:
            await self._card.take(offset + taken, data)
        taken += len(data)
        self._out = (tag, offset, expected, taken) if taken < expected else None
        if self._out is None:
            self._status(tag, 0, _GOOD if offset >= 0 else _FAILED)

    def _status(self, tag: int, residue: int, status: int, padding: int = 0) -> None:
        if padding:
            self._answers.put_nowait(bytes(padding))  # a stall would do as well; this needs no halt to clear
        self._answers.put_nowait(_STATUS.pack(_STATUS_SIGNATURE, tag, residue, status))


def _place(block: bytes) -> tuple[int, int]:
    """First byte and length of READ or WRITE, (10) or (16)."""
    long = block[0] & 0x80
    first, count = struct.unpack_from(">QI", block, 2) if long else struct.unpack_from(">IxH", block, 2)
    return first * SECTOR, count * SECTOR
