"""A hub at the `HubControl` seam, with the faults that real ones have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from terrible.errors import BootError

POWERED_AND_CONNECTED = 0x0103


@dataclass
class FakeHub:
    """Ports that obey; unless `stuck` bits stay set, or the kernel re-powers `repowers` times.

    `dropped` is told when the kernel re-powers a port: it does that as it drops the dead device.
    """

    ports: int = 4
    characteristics: int = 0x09
    superspeed: bool = False
    stuck: int = 0
    repowers: int = 0
    repowers_after: float = 0.5
    error: Exception | None = None
    container: bytes = b""
    dropped: Callable[[], None] = lambda: None
    switched: list[tuple[int, bool]] = field(default_factory=list)
    status: dict[int, int] = field(default_factory=dict)

    @property
    def power(self) -> int:
        return 0x0200 if self.superspeed else 0x0100

    async def hub_control(
        self,
        hub: str,
        request_type: int,
        request: int,
        value: int,
        index: int,
        data_or_length: bytes | int,
        limit: float,
    ) -> bytes:
        assert limit == 5
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        match request_type, request, value, data_or_length:
            case 0xA0, 6, 0x2900 | 0x2A00, int(length):
                return self._descriptor(value >> 8)[:length]
            case 0x80, 6, 0x0F00, int(length) if self.container:
                return bos(self.container)[:length]
            case 0x80, 6, 0x0F00, int():
                raise BootError("the hub stalls")
            case 0xA3, 0, 0, 4:
                return self.status.get(index, self.power).to_bytes(2, "little") + b"\1\0"
            case 0x23, 1 | 3, 8, b"":
                self._switch(index, on=request == 3)
                return b""
        raise AssertionError(f"no hub knows {request_type:#x} {request} {value:#x} {data_or_length!r}")

    def _descriptor(self, kind: int) -> bytes:
        head = bytes((9, kind, self.ports)) + self.characteristics.to_bytes(2, "little")
        return head.ljust(9 if kind == 0x29 else 12, b"\0")

    def _switch(self, port: int, on: bool) -> None:
        self.switched.append((port, on))
        before = self.status.get(port, self.power)
        self.status[port] = before | self.power if on else before & self.stuck
        if not on and self.repowers:
            self.repowers -= 1
            asyncio.get_running_loop().call_later(self.repowers_after, self._repower, port)

    def _repower(self, port: int) -> None:
        self.dropped()
        self.status[port] = self.power


class Hubs:
    """Several hubs by the kernel's names of them, at the same seam."""

    def __init__(self, hubs: Mapping[str, FakeHub]) -> None:
        self.hubs = dict(hubs)

    async def hub_control(
        self,
        hub: str,
        request_type: int,
        request: int,
        value: int,
        index: int,
        data_or_length: bytes | int,
        limit: float,
    ) -> bytes:
        if hub not in self.hubs:
            raise BootError(f"there is no hub at {hub}")
        return await self.hubs[hub].hub_control(
            hub, request_type, request, value, index, data_or_length, limit
        )


def bos(container: bytes) -> bytes:
    """What a USB 3 hub says it can do: link power management, SuperSpeed, and which container it is."""
    capabilities = bytes.fromhex("071002 06000000 0a1003 000e00010aff07".replace(" ", ""))
    capabilities += bytes((20, 0x10, 4, 0)) + container
    return bytes((5, 0x0F)) + (5 + len(capabilities)).to_bytes(2, "little") + b"\3" + capabilities
