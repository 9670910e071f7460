"""What goes over the socket between the simulator and an agent: a JSON object and some bytes."""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import asdict
from typing import Any

from terrible.usb.identify import Descriptors, Interface

_SIZES = struct.Struct("!II")


def frame(what: dict[str, Any], blob: bytes = b"") -> bytes:
    """The bytes of one message."""
    text = json.dumps(what).encode()
    return _SIZES.pack(len(text), len(blob)) + text + blob


async def read(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """The next message; IncompleteReadError when the other end is gone."""
    text, blob = _SIZES.unpack(await reader.readexactly(_SIZES.size))
    return json.loads(await reader.readexactly(text)), await reader.readexactly(blob)


def packed(descriptors: Descriptors) -> dict[str, Any]:
    """Descriptors as JSON values."""
    return asdict(descriptors)


def unpacked(values: dict[str, Any]) -> Descriptors:
    """And back."""
    interfaces = tuple(Interface(**interface) for interface in values["interfaces"])
    return Descriptors(**{**values, "interfaces": interfaces})
