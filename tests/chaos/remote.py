"""The seams of an agent whose hub is simulated by another process, which outlives it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from terrible.errors import BootError, Code, DeviceLeft, PowerError, Silent
from terrible.model import Answer, Location, NetworkNews, Report, Request, Slot, Stage
from terrible.seams import Device, HubPort, News
from terrible.usb import identify
from tests.chaos.frames import frame, read, unpacked

ERRORS = {error.__name__: error for error in (BootError, DeviceLeft, Silent)}


class Remote:
    """The agent's end of the socket: calls out, answers and events in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[tuple[Any, bytes]]] = {}
        self.bus = RemoteBus(self)
        self.asked: asyncio.Queue[Request] = asyncio.Queue()

    def say(self, what: dict[str, Any], blob: bytes = b"") -> None:
        """Without an answer."""
        self._writer.write(frame(what, blob))

    async def call(self, name: str, *args: Any, blob: bytes = b"") -> tuple[Any, bytes]:
        """With one; given up, the simulator gives it up too."""
        number = next(self._numbers)
        answer: asyncio.Future[tuple[Any, bytes]] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        self.say({"call": name, "id": number, "args": args}, blob)
        try:
            return await answer
        finally:
            del self._calls[number]
            if answer.cancelled():
                self.say({"cancel": number})

    async def listen(self) -> None:
        """Take what the simulator says, until it is gone."""
        while True:
            said, blob = await read(self._reader)
            if "id" in said:
                self._answered(said, blob)
            elif "request" in said:
                self.asked.put_nowait(Request(**said["request"]))
            else:
                self.bus.happened(said)

    def _answered(self, said: dict[str, Any], blob: bytes) -> None:
        call = self._calls.get(said["id"])
        if call is None or call.done():
            return
        if (error := said.get("error")) is None:
            call.set_result((said["value"], blob))
        elif error[0] == "PowerError":
            call.set_exception(PowerError(error[1], Code(error[2])))
        else:
            call.set_exception(ERRORS[error[0]](error[1]))


class RemoteDevice:
    """One device, as the simulator told of it."""

    def __init__(self, remote: Remote, said: dict[str, Any]) -> None:
        self.number: int = said["arrived"]
        self.location = Location(said["location"])
        self.descriptors = unpacked(said["descriptors"])
        self.stage: Stage = identify.stage(self.descriptors)
        self._remote = remote
        self._left = asyncio.Event()

    @property
    def gone(self) -> bool:
        return self._left.is_set()

    async def left(self) -> None:
        await self._left.wait()

    def leave(self) -> None:
        self._left.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[RemoteLink]:
        if self.gone:
            raise DeviceLeft(f"the {self.stage.name} left before it could be opened")
        yield RemoteLink(self._remote, self.number)


class RemoteLink:
    """Transfers that the simulator does for us."""

    def __init__(self, remote: Remote, device: int) -> None:
        self._remote, self._device = remote, device

    async def control_out(self, value: int, index: int, limit: float) -> None:
        await self._remote.call("control_out", self._device, value, index, limit)

    async def control_in(self, length: int, limit: float) -> bytes:
        return (await self._remote.call("control_in", self._device, length, limit))[1]

    async def bulk_out(self, data: bytes | bytearray, stall: float, sent: Callable[[int], None]) -> None:
        await self._remote.call("bulk_out", self._device, stall, blob=bytes(data))
        sent(len(data))


class RemoteBus:
    """What the simulator has told of its ports."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._devices: dict[int, RemoteDevice] = {}
        self._arrived: asyncio.Queue[RemoteDevice] = asyncio.Queue()

    def happened(self, said: dict[str, Any]) -> None:
        if "arrived" in said:
            device = self._devices[said["arrived"]] = RemoteDevice(self._remote, said)
            self._arrived.put_nowait(device)
        else:
            self._devices.pop(said["left"]).leave()

    async def arrivals(self) -> AsyncIterator[Device]:
        while True:
            yield await self._arrived.get()

    def present(self) -> Collection[Device]:
        return list(self._devices.values())


class RemotePort:
    """A switch of the simulated hub."""

    backend = "remote"
    why = "the simulator has a process of its own"

    def __init__(self, remote: Remote, location: Location, affects: Collection[str]) -> None:
        self._remote, self._location = remote, location
        self._affects = frozenset(map(Location, affects))

    def affects(self) -> frozenset[Location]:
        return self._affects

    async def switch(self, on: bool) -> None:
        await self._remote.call("switch", self._location, on)

    async def powered(self) -> bool | None:
        powered: bool | None = (await self._remote.call("powered", self._location))[0]
        return powered


class RemoteWorld:
    """Power, network, shutdown and broker over the same socket."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def port(self, location: Location) -> HubPort:
        return RemotePort(self._remote, location, (await self._remote.call("affects", location))[0])

    async def reachable(self, slot: Slot, device: Device, passed: Callable[[str], None]) -> tuple[str, ...]:
        assert isinstance(device, RemoteDevice)
        await self._remote.call("reachable", slot.location, device.number)
        return (slot.address,)

    async def lost(self, slot: Slot) -> None:
        await self._remote.call("lost", slot.location)

    async def news(self) -> AsyncIterator[NetworkNews]:
        await asyncio.Event().wait()
        yield NetworkNews()

    async def shut_down(self, slot: Slot) -> None:
        await self._remote.call("shut_down", slot.location)

    def tell(self, news: News) -> None:
        if isinstance(news, Report):
            problem = news.problem and [news.problem.code, news.problem.message]
            self._remote.say(
                {"report": [news.slot.name, news.phase, problem, news.wish, news.power, news.attempt]}
            )

    def answer(self, request: Request, answer: Answer) -> None:
        self._remote.say({"answer": [request.id, answer.status]})

    async def requests(self) -> AsyncIterator[Request]:
        while True:
            yield await self._remote.asked.get()

    async def run(self) -> None:
        await asyncio.Event().wait()


async def connected(path: Path) -> Remote:
    """Attach to the simulator."""
    return Remote(*await asyncio.open_unix_connection(path))
