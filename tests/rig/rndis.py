"""The device side of RNDIS as bytes: control messages, and Ethernet frames in their wrapping.

Enough of MS-RNDIS for Linux's `rndis_host` (drivers/net/usb/rndis_host.c). Little endian throughout.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator

_PACKET, _INIT, _QUERY, _SET, _KEEPALIVE = 1, 2, 4, 5, 8
_COMPLETION = 0x8000_0000
_SUCCESS, _NOT_SUPPORTED = 0, 0xC000_00BB
_OID_PHYSICAL_MEDIUM, _UNSPECIFIED = 0x0001_0202, 0
_OID_PERMANENT_ADDRESS, _OID_CURRENT_ADDRESS = 0x0101_0101, 0x0101_0102
_OID_MAXIMUM_FRAME_SIZE, _OID_LINK_SPEED, _OID_MEDIA_CONNECT_STATUS = 0x0001_0106, 0x0001_0107, 0x0001_0114
_PACKET_HEADER = 44
_MAX_TRANSFER = 1580
"""One Ethernet frame, its RNDIS header and some slack, as f_rndis says."""

RESPONSE_AVAILABLE = struct.pack("<II", 1, 0)
"""The notification that a response is waiting; `rndis_host` polls and does not need it."""


class Rndis:
    """Commands of one attached gadget; each leaves its response to be fetched."""

    def __init__(self, host_mac: bytes) -> None:
        self._responses: deque[bytes] = deque()
        self._oids = {
            _OID_PHYSICAL_MEDIUM: struct.pack("<I", _UNSPECIFIED),
            _OID_PERMANENT_ADDRESS: host_mac,
            _OID_CURRENT_ADDRESS: host_mac,
            _OID_MAXIMUM_FRAME_SIZE: struct.pack("<I", 1500),
            _OID_LINK_SPEED: struct.pack("<I", 4_259_840),  # in units of 100 bit/s
            _OID_MEDIA_CONNECT_STATUS: struct.pack("<I", 0),
        }

    def command(self, message: bytes) -> None:
        """SEND_ENCAPSULATED_COMMAND."""
        kind, _, request = struct.unpack_from("<III", message)
        if answer := self._commands().get(kind):
            body = answer(message)
            head = (kind | _COMPLETION, 12 + len(body), request)
            self._responses.append(struct.pack("<III", *head) + body)

    def response(self) -> bytes:
        """GET_ENCAPSULATED_RESPONSE; one zero byte when there is none, as f_rndis answers."""
        return self._responses.popleft() if self._responses else b"\0"

    def _commands(self) -> dict[int, Callable[[bytes], bytes]]:
        return {
            _INIT: self._initialize,
            _QUERY: self._query,
            _SET: lambda _: struct.pack("<I", _SUCCESS),
            _KEEPALIVE: lambda _: struct.pack("<I", _SUCCESS),
        }

    @staticmethod
    def _initialize(_: bytes) -> bytes:
        """Version 1.0, connectionless, 802.3, one packet per transfer, no alignment."""
        return struct.pack("<10I", _SUCCESS, 1, 0, 1, 0, 1, _MAX_TRANSFER, 0, 0, 0)

    def _query(self, message: bytes) -> bytes:
        value = self._oids.get(struct.unpack_from("<I", message, 12)[0])
        if value is None:
            return struct.pack("<III", _NOT_SUPPORTED, 0, 0)
        offset_from_request_id = 16
        return struct.pack("<III", _SUCCESS, len(value), offset_from_request_id) + value


def wrap(frame: bytes) -> bytes:
    """An Ethernet frame as a data message. Offsets count from their own field, eight bytes in."""
    fields = (_PACKET, _PACKET_HEADER + len(frame), _PACKET_HEADER - 8, len(frame))
    return struct.pack("<IIII28x", *fields) + frame


def unwrap(transfer: bytes) -> Iterator[bytes]:
    """The Ethernet frames of one bulk transfer, which may hold several messages and padding."""
    while len(transfer) >= _PACKET_HEADER:
        kind, length, offset, size = struct.unpack_from("<IIII", transfer)
        if kind != _PACKET or length < _PACKET_HEADER:
            return
        yield transfer[8 + offset : 8 + offset + size]
        transfer = transfer[length:]
