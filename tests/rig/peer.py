"""One emulated USB port: a usbredir peer that is the socket (`Plug`) a model of a Pi is plugged into."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from terrible.model import Stage
from terrible.sim.wire import Wire
from terrible.usb.identify import Descriptors, boot_interface, stage

from .card import Card
from .descriptors import Presented, present
from .device import Device
from .functions import BootFunction, Function, NetworkFunction
from .gadget import GadgetNetwork, Tiny, Userland
from .storage import StorageFunction
from .usbredir import Kind, Parser, device_connect, ep_info, hello, interface_info, pack


class Peer(asyncio.Protocol):
    """`attach` and `detach` may follow each other at any speed; what QEMU is not ready for waits here."""

    def __init__(self, network: GadgetNetwork, awake: Callable[[], bool] = lambda: True) -> None:
        self.userland: Callable[[], Userland] = lambda: Tiny(network)
        """Started anew with every gadget that is attached."""
        self.card: Card | None = None
        """What is in the Pi's slot, for its mass-storage firmware to show."""
        self._host_mac = network.host_mac
        self._awake = awake
        self._parser = Parser()
        self._attached: tuple[Presented, Device, Wire] | None = None
        self._on_bus: Device | None = None
        """What QEMU knows of: lags behind `_attached` by its acknowledgements."""
        self._ready = False

    async def connect(self, path: Path) -> None:
        await asyncio.get_running_loop().create_unix_connection(lambda: self, str(path))

    def close(self) -> None:
        """Leave the bus for good."""
        self._transport.close()

    # -- the socket a Pi is plugged into -----------------------------------------------------------
    def attach(self, descriptors: Descriptors) -> Wire:
        self.detach()
        shown, wire = present(descriptors), Wire()
        self._attached = shown, Device(shown, self._function(descriptors, wire), self._send), wire
        self._announce()
        return wire

    def detach(self) -> None:
        if self._attached:
            _, device, wire = self._attached
            self._attached = None
            wire.close()
            # What the Pi has just answered or taken is a transfer done: its task, already woken, goes first.
            asyncio.get_running_loop().call_soon(self._leave, device)

    def hang(self) -> None:
        """The device answers nothing from now on, not even the bus; only leaving it is left to it."""
        if self._attached:
            self._attached[1].hung = True

    def _function(self, descriptors: Descriptors, wire: Wire) -> Function:
        if stage(descriptors) is Stage.GADGET:
            return NetworkFunction(self._host_mac, self.userland(), self._awake)
        if self.card is not None and stage(descriptors) in (Stage.DISK, Stage.OTHER):  # a Pi, or a stick
            return StorageFunction(self.card)
        return BootFunction(wire, boot_interface(descriptors)[1])

    def _leave(self, device: Device) -> None:
        device.close()
        if device is self._on_bus:
            self._on_bus, self._ready = None, False  # until QEMU has acknowledged
            self._send(Kind.DEVICE_DISCONNECT)

    def _announce(self) -> None:
        """Introduce the attached device to QEMU, which waits up to 200 ms more before the guest sees it."""
        if not self._attached or not self._ready or self._on_bus:
            return
        shown, self._on_bus, _ = self._attached
        source = shown.source
        ids = (source.vendor, source.product, source.release)
        self._send(Kind.INTERFACE_INFO, 0, interface_info(shown.interfaces))
        self._send(Kind.EP_INFO, 0, ep_info(shown.endpoints))
        self._send(Kind.DEVICE_CONNECT, 0, device_connect(shown.speed, (source.device_class, 0, 0), ids))

    # -- the connection to QEMU --------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(hello())

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_bus, self._ready = None, False
        self.detach()

    def data_received(self, data: bytes) -> None:
        for packet in self._parser.feed(data):
            if packet.kind in (Kind.HELLO, Kind.DISCONNECT_ACK):
                self._ready = True
                self._announce()
            elif self._on_bus:
                self._on_bus.handle(packet)

    def _send(self, kind: Kind, number: int = 0, body: bytes = b"") -> None:
        self._transport.write(pack(kind, number, body))
