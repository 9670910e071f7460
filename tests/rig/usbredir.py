"""The usbredir wire format, device side: bytes in, packets out (spec: spice usbredir-protocol.txt).

Only what QEMU's `usb-redir` device speaks to a peer with the capabilities below. Little endian throughout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

_HELLO_HEADER = struct.Struct("<III")
_HEADER = struct.Struct("<IIQ")
"""With 64-bit ids, which both sides announce."""
_VERSION = b"terrible rig"
_CAPABILITIES = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6
"""connect_device_version, device_disconnect_ack, ep_info_max_packet_size, 64bits_ids, 32bits_bulk_length."""
_SLOTS = 32
"""Interface and endpoint tables have this many rows."""


class Kind(IntEnum):
    """Packet types."""

    HELLO = 0
    DEVICE_CONNECT = 1
    DEVICE_DISCONNECT = 2
    RESET = 3
    INTERFACE_INFO = 4
    EP_INFO = 5
    SET_CONFIGURATION = 6
    GET_CONFIGURATION = 7
    CONFIGURATION_STATUS = 8
    SET_ALT_SETTING = 9
    GET_ALT_SETTING = 10
    ALT_SETTING_STATUS = 11
    START_INTERRUPT = 15
    STOP_INTERRUPT = 16
    INTERRUPT_STATUS = 17
    CANCEL = 21
    DISCONNECT_ACK = 24
    CONTROL = 100
    BULK = 101
    INTERRUPT = 103


class Status(IntEnum):
    """How a transfer ended. In what QEMU sends this field is garbage."""

    SUCCESS = 0
    CANCELLED = 1
    STALL = 4


class Speed(IntEnum):
    LOW = 0
    FULL = 1
    HIGH = 2


class Transfer(IntEnum):
    """Endpoint types, the same numbers as in bmAttributes."""

    CONTROL = 0
    BULK = 2
    INTERRUPT = 3
    ABSENT = 255


@dataclass(frozen=True, slots=True)
class Packet:
    kind: int
    id: int
    body: bytes


class Parser:
    """Cuts the byte stream into packets. The hello's header is shorter than all that follow."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header = _HELLO_HEADER

    def feed(self, data: bytes) -> Iterator[Packet]:
        self._buffer += data
        while len(self._buffer) >= self._header.size:
            kind, length, number = self._header.unpack_from(self._buffer)
            start, end = self._header.size, self._header.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[start:end])
            del self._buffer[:end]
            self._header = _HEADER
            yield Packet(kind, number, body)


def hello() -> bytes:
    body = struct.pack("<64sI", _VERSION, _CAPABILITIES)
    return _HELLO_HEADER.pack(Kind.HELLO, len(body), 0) + body


def pack(kind: Kind, number: int = 0, body: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(body), number) + body


@dataclass(frozen=True, slots=True)
class Setup:
    """A control transfer. `data` is what the host sends, or what it is answered."""

    endpoint: int
    request: int
    requesttype: int
    status: int
    value: int
    index: int
    length: int
    data: bytes = b""

    _FORMAT = struct.Struct("<BBBBHHH")

    @classmethod
    def parse(cls, body: bytes) -> Self:
        fields = (*cls._FORMAT.unpack_from(body), body[cls._FORMAT.size :])
        return cls(*fields)

    def answer(self, status: Status, data: bytes = b"", taken: int = 0) -> bytes:
        """The body of the reply: `data` for an IN, the count `taken` of an OUT."""
        length = len(data) if self.requesttype & 0x80 else taken
        fields = (self.endpoint, self.request, self.requesttype, status, self.value, self.index, length)
        return self._FORMAT.pack(*fields) + data


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk transfer, whole: QEMU's xHCI forwards up to megabytes in one packet."""

    endpoint: int
    length: int
    data: bytes = b""

    _FORMAT = struct.Struct("<BBHIH")

    @classmethod
    def parse(cls, body: bytes) -> Self:
        endpoint, _, low, _, high = cls._FORMAT.unpack_from(body)
        return cls(endpoint, high << 16 | low, body[cls._FORMAT.size :])

    def answer(self, status: Status, data: bytes = b"", taken: int = 0) -> bytes:
        length = len(data) if self.endpoint & 0x80 else taken
        return self._FORMAT.pack(self.endpoint, status, length & 0xFFFF, 0, length >> 16) + data


def interrupt(endpoint: int, data: bytes) -> bytes:
    return struct.pack("<BBH", endpoint, Status.SUCCESS, len(data)) + data


# -- how a device introduces itself ----------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class InterfaceRow:
    number: int
    cls: int
    subclass: int
    protocol: int


@dataclass(frozen=True, slots=True)
class EndpointRow:
    address: int
    transfer: Transfer
    interface: int
    max_packet: int
    interval: int = 0


def interface_info(rows: Sequence[InterfaceRow]) -> bytes:
    columns = [[row.number for row in rows], [row.cls for row in rows]]
    columns += [[row.subclass for row in rows], [row.protocol for row in rows]]
    return struct.pack("<I", len(rows)) + b"".join(bytes(column).ljust(_SLOTS, b"\0") for column in columns)


def ep_info(rows: Sequence[EndpointRow]) -> bytes:
    """Endpoint zero is always there; a row's place is its direction and number."""
    transfers = bytearray([Transfer.ABSENT] * _SLOTS)
    intervals, interfaces = bytearray(_SLOTS), bytearray(_SLOTS)
    sizes = [0] * _SLOTS
    control = [EndpointRow(address, Transfer.CONTROL, 0, 64) for address in (0x00, 0x80)]
    for row in [*control, *rows]:
        place = (row.address & 0x80) >> 3 | row.address & 0x0F
        transfers[place], intervals[place] = row.transfer, row.interval
        interfaces[place], sizes[place] = row.interface, row.max_packet
    return bytes(transfers + intervals + interfaces) + struct.pack(f"<{_SLOTS}H", *sizes)


def device_connect(speed: Speed, device_class: tuple[int, int, int], ids: tuple[int, int, int]) -> bytes:
    """Class, subclass, protocol; vendor, product, release."""
    return struct.pack("<BBBBHHH", speed, *device_class, *ids)
