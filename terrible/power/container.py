"""The container id of a hub as bytes: both sides of one USB 3 hub carry the same; no USB here.

Written from the USB 3.2 specification, 9.6.2 (Binary Device Object Store) and 9.6.2.3 (Container ID).
"""

from __future__ import annotations

from collections.abc import Iterator

from terrible.power.hubclass import BadAnswer, ClassRequest

FIRST_VERSION = 2.01
"""bcdUSB of the first devices that must have a BOS; older ones may hang when asked (Linux asks as we do)."""
HEADER = 5

_DEVICE_TO_HOST, _GET_DESCRIPTOR, _BOS = 0x80, 6, 0x0F
_CONTAINER_ID = b"\x10\x04"
"""bDescriptorType DEVICE CAPABILITY, bDevCapabilityType CONTAINER_ID (tables 9-5 and 9-14)."""
_CAPABILITY_SIZE = 20


def get_bos(length: int) -> ClassRequest:
    """Ask a device what it can do; first for `HEADER` bytes, then for `total_length`."""
    return ClassRequest(_DEVICE_TO_HOST, _GET_DESCRIPTOR, _BOS << 8, 0, length)


def total_length(header: bytes) -> int:
    """How many bytes the whole answer has; BadAnswer for what is no such header."""
    if len(header) < HEADER or header[1] != _BOS:
        raise BadAnswer(f"{header[:HEADER].hex()} is no header of device capabilities")
    return int.from_bytes(header[2:4], "little")


def container_id(bos: bytes) -> bytes | None:
    """The 16 bytes that name the physical device, None where it tells none."""
    total_length(bos)
    for capability in _capabilities(bos[HEADER:]):
        if capability[1:3] == _CONTAINER_ID and len(capability) >= _CAPABILITY_SIZE:
            found = capability[4:_CAPABILITY_SIZE]
            return found if any(found) else None
    return None


def _capabilities(data: bytes) -> Iterator[bytes]:
    while len(data) > 2:
        size = data[0]
        if size < 3:
            raise BadAnswer(f"a device capability cannot have {size} bytes")
        yield data[:size]
        data = data[size:]
