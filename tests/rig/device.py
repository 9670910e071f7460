"""One device on the emulated bus, from attach to detach: every packet QEMU has for it, and the answers.

What the bus itself wants to know is answered from the descriptors; the rest is its function's. There is
one task per transfer, started in the order of arrival: that keeps bulk data in order, and lets a control
IN wait for as long as the device takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from terrible.sim.wire import Stall, WireGone

from .descriptors import Presented
from .functions import Function
from .usbredir import Bulk, Kind, Packet, Setup, Status, ep_info, interrupt

Send = Callable[[Kind, int, bytes], None]
Transfer = Setup | Bulk

_GET_STATUS, _CLEAR_FEATURE, _SET_FEATURE, _GET_DESCRIPTOR = 0, 1, 3, 6
_TYPE_OF_REQUEST = 0x60
"""These bits of bmRequestType are zero where the request is the USB standard's own (USB 2.0, table 9-2)."""


class Device:
    def __init__(self, shown: Presented, function: Function, send: Send) -> None:
        self.hung = False
        self._shown = shown
        self._function = function
        self._send_packet = send
        self._closed = False
        self._transfers: dict[int, tuple[asyncio.Task[None], Kind, Transfer]] = {}
        self._interrupts: dict[int, asyncio.Task[None]] = {}

    def handle(self, packet: Packet) -> None:
        if packet.kind == Kind.CANCEL:  # answered even when hung: that is the host controller's doing
            self._cancel(packet.id)
        elif packet.kind == Kind.CONTROL:
            self._begin(packet.id, Kind.CONTROL, Setup.parse(packet.body))
        elif packet.kind == Kind.BULK:
            self._begin(packet.id, Kind.BULK, Bulk.parse(packet.body))
        elif packet.kind in (Kind.SET_CONFIGURATION, Kind.GET_CONFIGURATION):
            self._send(Kind.EP_INFO, 0, ep_info(self._shown.endpoints))
            self._send(Kind.CONFIGURATION_STATUS, packet.id, bytes([Status.SUCCESS, 1]))
        elif packet.kind in (Kind.SET_ALT_SETTING, Kind.GET_ALT_SETTING):
            self._send(Kind.ALT_SETTING_STATUS, packet.id, bytes([Status.SUCCESS, packet.body[0], 0]))
        elif packet.kind in (Kind.START_INTERRUPT, Kind.STOP_INTERRUPT):
            self._poll(packet)

    def close(self) -> None:
        """The device has left: nothing is answered any more."""
        self._closed = True
        tasks = [task for task, _, _ in self._transfers.values()]
        for task in [*tasks, *self._interrupts.values()]:
            task.cancel()
        self._function.close()

    # -- transfers ---------------------------------------------------------------------------------
    def _begin(self, number: int, kind: Kind, transfer: Transfer) -> None:
        task = asyncio.create_task(self._finish(number, kind, transfer))
        self._transfers[number] = task, kind, transfer

    async def _finish(self, number: int, kind: Kind, transfer: Transfer) -> None:
        if self.hung:
            return
        work = self._control(transfer) if isinstance(transfer, Setup) else self._bulk(transfer)
        try:
            body = transfer.answer(Status.SUCCESS, await work, taken=len(transfer.data))
        except Stall:
            body = transfer.answer(Status.STALL)
        except WireGone:
            return
        if not self.hung:  # else it stays listed, for the host to give up on
            del self._transfers[number]
            self._send(kind, number, body)

    def _cancel(self, number: int) -> None:
        """QEMU wants one answer per packet; one that was answered already needs no second."""
        if found := self._transfers.pop(number, None):
            task, kind, transfer = found
            task.cancel()
            self._send_packet(kind, number, transfer.answer(Status.CANCELLED))

    async def _control(self, setup: Setup) -> bytes:
        if setup.requesttype & _TYPE_OF_REQUEST:
            return (await self._function.control(setup))[: setup.length]
        if setup.request in (_CLEAR_FEATURE, _SET_FEATURE):
            return b""
        if setup.request == _GET_STATUS:
            return b"\1\0"  # self-powered
        known = self._shown.descriptor(setup.value >> 8, setup.value & 0xFF)
        if setup.request != _GET_DESCRIPTOR or known is None:
            raise Stall
        return known[: setup.length]

    async def _bulk(self, bulk: Bulk) -> bytes:
        if bulk.endpoint & 0x80:
            return await self._function.bulk_in(bulk.endpoint, bulk.length)
        await self._function.bulk_out(bulk.endpoint, bulk.data)
        return b""

    # -- interrupt endpoints -----------------------------------------------------------------------
    def _poll(self, packet: Packet) -> None:
        endpoint = packet.body[0]
        if polling := self._interrupts.pop(endpoint, None):
            polling.cancel()
        if packet.kind == Kind.START_INTERRUPT:
            self._interrupts[endpoint] = asyncio.create_task(self._notify(endpoint))
        self._send(Kind.INTERRUPT_STATUS, packet.id, bytes([Status.SUCCESS, endpoint]))

    async def _notify(self, endpoint: int) -> None:
        count = 0
        while True:
            data = await self._function.interrupt(endpoint)
            self._send(Kind.INTERRUPT, count, interrupt(endpoint, data))
            count += 1

    def _send(self, kind: Kind, number: int, body: bytes) -> None:
        if not self.hung and not self._closed:
            self._send_packet(kind, number, body)
