"""The descriptors a device shows: a Pi's boot stages and Linux's RNDIS gadget (USB 2.0, chapter 9)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from terrible.model import Stage
from terrible.usb.identify import BROADCOM, Descriptors, Interface, stage

from .usbredir import EndpointRow, InterfaceRow, Speed, Transfer

_BOOTS = {0x2763: "BCM2708 Boot", 0x2764: "BCM2710 Boot", 0x2711: "BCM2711 Boot", 0x2712: "BCM2712 Boot"}
_ENGLISH = b"\x04\x03\x09\x04"
_DEVICE, _CONFIGURATION, _STRING, _ASSOCIATION, _CLASS_SPECIFIC = 1, 2, 3, 11, 36
"""Descriptor types."""
_HIGH_SPEED = 480
NOTIFY, DATA_IN, DATA_OUT = 0x83, 0x81, 0x02
"""The gadget's endpoints: interrupt IN, bulk IN, bulk OUT."""


@dataclass(frozen=True)
class Presented:
    """One device as the bus sees it."""

    source: Descriptors
    speed: Speed
    interfaces: tuple[InterfaceRow, ...]
    endpoints: tuple[EndpointRow, ...]
    strings: dict[int, str]
    device: bytes
    configuration: bytes

    def descriptor(self, kind: int, index: int) -> bytes | None:
        """What GET_DESCRIPTOR returns; None is a stall, as a device without one answers for its qualifier."""
        if kind == _STRING:
            return _ENGLISH if index == 0 else _string(self.strings.get(index))
        return {_DEVICE: self.device, _CONFIGURATION: self.configuration}.get(kind)


def present(source: Descriptors) -> Presented:
    """Descriptors in full; a gadget looks like `f_rndis` does, whatever interfaces the model lists."""
    speed = Speed.HIGH if source.speed >= _HIGH_SPEED else Speed.FULL
    if stage(source) is Stage.GADGET:
        return _rndis(source, speed)
    endpoints = tuple(row for interface in source.interfaces for row in _bulk_pair(interface, speed))
    interfaces = tuple(InterfaceRow(i.number, i.cls, i.subclass, i.protocol) for i in source.interfaces)
    parts = [_interface(row, [e for e in endpoints if e.interface == row.number]) for row in interfaces]
    return Presented(
        source=source,
        speed=speed,
        interfaces=interfaces,
        endpoints=endpoints,
        strings=_boot_strings(source),
        device=_device(source),
        configuration=_configuration(parts, len(interfaces)),
    )


def _boot_strings(source: Descriptors) -> dict[int, str]:
    """String 1 is the maker, and in the second stage the serial number: a real one comes with the 2711."""
    product = _BOOTS.get(source.product, "Boot") if source.vendor == BROADCOM else "Gadget"
    strings = {1: "Broadcom", 2: product}
    strings.setdefault(source.serial_index, "10000000")
    return strings


def _bulk_pair(interface: Interface, speed: Speed) -> list[EndpointRow]:
    """OUT n comes with IN n + 1: 0x01 and 0x82, 0x03 and 0x84 (usbboot main.c:408-421)."""
    if interface.bulk_out is None:
        return []
    size = 512 if speed is Speed.HIGH else 64
    addresses = (interface.bulk_out, 0x80 | interface.bulk_out + 1)
    return [EndpointRow(address, Transfer.BULK, interface.number, size) for address in addresses]


def _rndis(source: Descriptors, speed: Speed) -> Presented:
    """As drivers/usb/gadget/function/f_rndis.c lays it out, association included."""
    size = 512 if speed is Speed.HIGH else 64
    control, data = InterfaceRow(0, 0x02, 0x02, 0xFF), InterfaceRow(1, 0x0A, 0, 0)
    notify = EndpointRow(NOTIFY, Transfer.INTERRUPT, 0, 8, interval=9 if speed is Speed.HIGH else 32)
    pipes = [EndpointRow(address, Transfer.BULK, 1, size) for address in (DATA_IN, DATA_OUT)]
    header, call_management, acm, union = b"\x00\x10\x01", b"\x01\x00\x01", b"\x02\x00", b"\x06\x00\x01"
    parts = [
        struct.pack("<8B", 8, _ASSOCIATION, 0, 2, 0x02, 0x06, 0x00, 0),
        _interface(control, [notify], _functional(header, call_management, acm, union)),
        _interface(data, pipes),
    ]
    return Presented(
        source=source,
        speed=speed,
        interfaces=(control, data),
        endpoints=(notify, *pipes),
        strings={1: "Linux with 20980000.usb", 2: "RNDIS/Ethernet Gadget"},
        device=_device(source),
        configuration=_configuration(parts, 2),
    )


# -- layouts ---------------------------------------------------------------------------------------
def _device(source: Descriptors) -> bytes:
    ids = (source.vendor, source.product, source.release)
    head = struct.pack("<BBHBBBB", 18, _DEVICE, 0x0200, source.device_class, 0, 0, 64)
    return head + struct.pack("<HHHBBBB", *ids, 1, 2, source.serial_index, 1)


def _configuration(parts: list[bytes], interfaces: int) -> bytes:
    body = b"".join(parts)
    self_powered, two_milliamps = 0xC0, 50
    head = (9, _CONFIGURATION, 9 + len(body), interfaces, 1, 0, self_powered, two_milliamps)
    return struct.pack("<BBHBBBBB", *head) + body


def _interface(row: InterfaceRow, endpoints: list[EndpointRow], functional: bytes = b"") -> bytes:
    head = struct.pack("<9B", 9, 4, row.number, 0, len(endpoints), row.cls, row.subclass, row.protocol, 0)
    tails = [struct.pack("<BBBBHB", 7, 5, e.address, e.transfer, e.max_packet, e.interval) for e in endpoints]
    return head + functional + b"".join(tails)


def _functional(*bodies: bytes) -> bytes:
    return b"".join(bytes([len(body) + 2, _CLASS_SPECIFIC]) + body for body in bodies)


def _string(text: str | None) -> bytes | None:
    if text is None:
        return None
    encoded = text.encode("utf-16-le")
    return bytes([len(encoded) + 2, _STRING]) + encoded
