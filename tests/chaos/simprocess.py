"""The simulator's end of the socket: it does for an agent what the kernel does for a real one.

An agent that dies takes nothing with it but its open transfers; the cluster and the watch live on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from terrible.errors import BootError, Code, PowerError, Problem
from terrible.model import Location, Phase, Report, Slot
from terrible.seams import Device, Link
from tests.chaos.frames import frame, packed, read
from tests.chaos.watch import Watched


class Host:
    """Serves one agent after the other. `reports` is what the present one says of each slot."""

    def __init__(self, cluster: Watched, slots: list[Slot]) -> None:
        self.cluster = cluster
        self.slots = {slot.name: slot for slot in slots}
        self.reports: dict[str, Report] = {}
        self.answers: dict[str, str] = {}
        self.attached = asyncio.Event()
        self.sessions = 0
        self._writer: asyncio.StreamWriter | None = None

    async def listen(self, path: Path) -> asyncio.Server:
        return await asyncio.start_unix_server(self._serve, path)

    def ask(self, request: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(frame({"request": request}))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.sessions += 1
        session = Session(self, writer)
        telling = asyncio.create_task(session.tell_arrivals())
        try:
            while True:
                said, blob = await read(reader)
                self.attached.set()
                self._heard(session, said, blob)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await session.end(telling)
            writer.close()

    def _heard(self, session: Session, said: dict[str, Any], blob: bytes) -> None:
        if "call" in said:
            session.start(said, blob)
        elif "cancel" in said:
            session.cancel(said["cancel"])
        elif "answer" in said:
            number, status = said["answer"]
            self.answers[number] = status
        else:
            name, phase, problem, wish, power, attempt = said["report"]
            why = Problem(Code(problem[0]), problem[1]) if problem else None
            self.reports[name] = Report(self.slots[name], Phase(phase), why, wish, 0.0, power, (), attempt)


class Session:
    """One agent's open devices and pending calls."""

    def __init__(self, host: Host, writer: asyncio.StreamWriter) -> None:
        self._host, self._cluster, self._writer = host, host.cluster, writer
        self._devices: list[Device] = []
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def tell_arrivals(self) -> None:
        """What is there, then whatever comes; and when it leaves."""
        async for device in self._cluster.bus.arrivals():
            number = len(self._devices)
            self._devices.append(device)
            said = {"arrived": number, "location": device.location, "descriptors": packed(device.descriptors)}
            self._writer.write(frame(said))
            self._leaving.add(asyncio.create_task(self._tell_leaving(number, device)))

    async def _tell_leaving(self, number: int, device: Device) -> None:
        await device.left()
        self._writer.write(frame({"left": number}))

    def start(self, said: dict[str, Any], blob: bytes) -> None:
        self._calls[said["id"]] = asyncio.create_task(self._answer(said, blob))

    def cancel(self, number: int) -> None:
        if (call := self._calls.get(number)) is not None:
            call.cancel()

    async def end(self, telling: asyncio.Task[None]) -> None:
        """The agent is gone: its transfers are cancelled, as the kernel does when a file is closed."""
        tasks = {telling, *self._calls.values(), *self._leaving}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _answer(self, said: dict[str, Any], blob: bytes) -> None:
        answer: dict[str, Any] = {"id": said["id"], "value": None}
        got = b""
        try:
            found = await self._do(said["call"], said["args"], blob)
            got, answer["value"] = (found, None) if isinstance(found, bytes) else (b"", found)
        except PowerError as error:
            answer["error"] = ["PowerError", error.problem.message, error.problem.code]
        except BootError as error:
            answer["error"] = [type(error).__name__, error.problem.message]
        finally:
            del self._calls[said["id"]]
        self._writer.write(frame(answer, got))

    def _do(self, name: str, args: list[Any], blob: bytes) -> Coroutine[Any, Any, Any]:
        if name in ("control_out", "control_in", "bulk_out"):
            return self._transfer(name, self._devices[args[0]], args[1:], blob)
        if name in ("switch", "powered", "affects"):
            return self._power(name, Location(args[0]), args[1:])
        slot = next(slot for slot in self._host.slots.values() if slot.location == args[0])
        match name:
            case "reachable":
                return self._cluster.reachable(slot, self._devices[args[1]], lambda _: None)
            case "lost":
                return self._cluster.lost(slot)
        return self._cluster.shut_down(slot)

    async def _transfer(self, name: str, device: Device, args: list[Any], blob: bytes) -> bytes | None:
        async with device.open() as opened:
            link: Link = opened
            match name:
                case "control_in":
                    return await link.control_in(*args)
                case "control_out":
                    await link.control_out(*args)
                case _:
                    await link.bulk_out(blob, args[0], lambda _: None)
        return None

    async def _power(self, name: str, location: Location, args: list[Any]) -> Any:
        port = await self._cluster.port(location)
        match name:
            case "affects":
                return sorted(port.affects())
            case "powered":
                return await port.powered()
        return await port.switch(*args)
