"""USB hub class requests and their answers as values: bytes in, values out; no USB here.

Written from the USB 2.0 specification, chapter 11.24 and tables 11-13 and 11-21, and USB 3.2 chapter
10.16; where hubs are known to differ from them, what Linux accepts (drivers/usb/core/hub.c) is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_GET = 0xA0
_GET_PORT = 0xA3
_SET_PORT = 0x23
"""bmRequestType: class requests to the hub itself and to one of its ports (table 11-15)."""
_GET_STATUS, _CLEAR_FEATURE, _SET_FEATURE, _GET_DESCRIPTOR = 0, 1, 3, 6
_PORT_POWER = 8
"""Feature selector (table 11-17)."""

_DESCRIPTOR, _SUPERSPEED_DESCRIPTOR = 0x29, 0x2A
_DESCRIPTOR_SIZE, _SUPERSPEED_DESCRIPTOR_SIZE = 15, 12
"""What Linux asks for: room for the masks of 31 ports, and exactly USB_DT_SS_HUB_SIZE."""
_MASKS = 7
"""Offset of the DeviceRemovable mask, one bit a port from bit 1 (table 11-13)."""
_MOST_PORTS, _MOST_SUPERSPEED_PORTS = 31, 15
"""USB_MAXCHILDREN and USB_SS_MAXPORTS: Linux refuses hubs with more."""

_CONNECTION, _ENABLE, _OVER_CURRENT = 0x0001, 0x0002, 0x0008
_POWER, _SUPERSPEED_POWER = 0x0100, 0x0200
_LOW_SPEED, _HIGH_SPEED = 0x0200, 0x0400


class BadAnswer(ValueError):
    """Bytes that no hub should answer. The message is safe to log."""


class Switching(StrEnum):
    """How a hub switches the power of its ports (wHubCharacteristics, bits 1:0)."""

    PER_PORT = "per-port"
    GANGED = "ganged"
    NONE = "none"


class OverCurrent(StrEnum):
    """How a hub reports over-current (wHubCharacteristics, bits 4:3)."""

    GLOBAL = "global"
    PER_PORT = "per-port"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ClassRequest:
    """A control transfer to a hub; `length` is the most it answers, 0 where it only takes."""

    request_type: int
    request: int
    value: int
    index: int
    length: int


@dataclass(frozen=True, slots=True)
class HubDescriptor:
    """What a hub says of its ports."""

    ports: int
    switching: Switching
    over_current: OverCurrent


@dataclass(frozen=True, slots=True)
class PortStatus:
    """What a hub says of one port; `speed` in Mb/s where something is connected."""

    connected: bool
    enabled: bool
    over_current: bool
    powered: bool
    speed: float | None


def get_hub_descriptor(superspeed: bool) -> ClassRequest:
    """Ask a hub what it is."""
    if superspeed:
        return ClassRequest(
            _GET, _GET_DESCRIPTOR, _SUPERSPEED_DESCRIPTOR << 8, 0, _SUPERSPEED_DESCRIPTOR_SIZE
        )
    return ClassRequest(_GET, _GET_DESCRIPTOR, _DESCRIPTOR << 8, 0, _DESCRIPTOR_SIZE)


def get_port_status(port: int) -> ClassRequest:
    """Ask for the status of a port."""
    return ClassRequest(_GET_PORT, _GET_STATUS, 0, port, 4)


def set_port_power(port: int, on: bool) -> ClassRequest:
    """Switch a port on or off."""
    return ClassRequest(_SET_PORT, _SET_FEATURE if on else _CLEAR_FEATURE, _PORT_POWER, port, 0)


def hub_descriptor(data: bytes, superspeed: bool) -> HubDescriptor:
    """Read the answer to `get_hub_descriptor`; BadAnswer for one that Linux would refuse."""
    least = _SUPERSPEED_DESCRIPTOR_SIZE if superspeed else _MASKS + 2
    if len(data) < least:
        raise BadAnswer(f"a hub descriptor has at least {least} bytes, this one {len(data)}")
    expected = _SUPERSPEED_DESCRIPTOR if superspeed else _DESCRIPTOR
    if data[1] != expected:
        raise BadAnswer(f"a hub descriptor is of type {expected:#x}, this one {data[1]:#x}")
    return _described(_ports(data, superspeed), int.from_bytes(data[3:5], "little"))


def _ports(data: bytes, superspeed: bool) -> int:
    ports = data[2]
    if not 1 <= ports <= (_MOST_SUPERSPEED_PORTS if superspeed else _MOST_PORTS):
        raise BadAnswer(f"a hub cannot have {ports} ports")
    if not superspeed and len(data) < _MASKS + ports // 8 + 1:
        raise BadAnswer(f"the descriptor of a hub with {ports} ports ends after {len(data)} bytes")
    return ports


def _described(ports: int, characteristics: int) -> HubDescriptor:
    """Bit 1 set means no switching, bit 4 set no over-current, whatever the bit below says (table 11-13)."""
    if characteristics & 0x02:
        switching = Switching.NONE
    elif characteristics & 0x01 or ports == 1:  # a gang of one is a port
        switching = Switching.PER_PORT
    else:
        switching = Switching.GANGED
    modes = (OverCurrent.GLOBAL, OverCurrent.PER_PORT, OverCurrent.NONE, OverCurrent.NONE)
    return HubDescriptor(ports, switching, modes[characteristics >> 3 & 0x03])


def port_status(data: bytes, superspeed: bool) -> PortStatus:
    """Read the answer to `get_port_status`: wPortStatus, wPortChange (tables 11-21; USB 3.2 10-13)."""
    if len(data) != 4:
        raise BadAnswer(f"a port status has 4 bytes, this one {len(data)}")
    bits = int.from_bytes(data[:2], "little")
    connected = bool(bits & _CONNECTION)
    return PortStatus(
        connected=connected,
        enabled=bool(bits & _ENABLE),
        over_current=bool(bits & _OVER_CURRENT),
        powered=bool(bits & (_SUPERSPEED_POWER if superspeed else _POWER)),
        speed=_speed(bits, superspeed) if connected else None,
    )


def _speed(bits: int, superspeed: bool) -> float:
    if superspeed:
        return 5000.0
    match bits & _LOW_SPEED, bits & _HIGH_SPEED:
        case 0, 0:
            return 12.0
        case _, 0:
            return 1.5
        case 0, _:
            return 480.0
    raise BadAnswer(f"port status {bits:#06x} says both low and high speed")
