"""Both halves of a boot as the host plays them, over a simulated wire with a scripted Pi at its other end."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import struct
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import coroutine
from typing import Any

import pytest

from terrible.errors import BootError, Code, DeviceLeft, Silent
from terrible.limits import Limits
from terrible.model import Location
from terrible.seams import Link
from terrible.sim.families import FAMILIES, Family
from terrible.sim.hub import SimBus
from terrible.sim.wire import Wire, WireGone
from terrible.usb import loader, rpiboot
from terrible.usb.bootfiles import Found, Missing
from terrible.usb.digests import Digest
from tests import clock

LIMITS = Limits()
BIG = bytes(range(256)) * 1000
SIZE, READ, DONE = 0, 1, 2
Host = Callable[[Link], Coroutine[Any, Any, None]]
Node = Callable[[Wire], Coroutine[Any, Any, None]]


@dataclass
class Files:
    """Boot files that can change under our hands."""

    content: dict[str, bytes]

    async def find(self, name: str) -> Found | Missing:
        await asyncio.sleep(0)
        if not (content := self.content.get(name, b"")):
            return Missing(name, ("base",), None)
        return Found(name, content, Digest(hashlib.sha256(content).hexdigest()), "base")


@dataclass
class Told:
    """A witness that remembers."""

    served_files: list[tuple[str, bytes | bytearray]] = field(default_factory=list)
    reading: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    bytes_sent: int = 0

    def serving(self, file: loader.File) -> None:
        self.reading.append(file.name)

    def sent(self, count: int) -> None:
        self.bytes_sent += count

    def served(self, file: loader.File) -> None:
        self.served_files.append((file.name, file.content))

    def noted(self, key: str, value: str) -> None:
        self.metadata[key] = value

    def bad_request(self, what: str) -> int:
        self.complaints.append(what)
        return len(self.complaints)


@dataclass
class Watched:
    """A link that counts what it is asked for and what is still under way."""

    link: Link
    reads: int = 0
    in_flight: int = 0

    async def _during(self, transfer: Awaitable[Any]) -> Any:
        self.in_flight += 1
        try:
            result = await transfer
            await asyncio.sleep(0)  # the real ones always take a while
            return result
        finally:
            self.in_flight -= 1

    async def control_out(self, value: int, index: int, limit: float) -> None:
        await self._during(self.link.control_out(value, index, limit))

    async def control_in(self, length: int, limit: float) -> bytes:
        self.reads += 1
        return bytes(await self._during(self.link.control_in(length, limit)))

    async def bulk_out(self, data: bytes | bytearray, stall: float, sent: Callable[[int], None]) -> None:
        assert data, "a bulk transfer of nothing"
        await self._during(self.link.bulk_out(data, stall, sent))


# -- the Pi's side -----------------------------------------------------------------------------------


async def ask(wire: Wire, command: int, name: str) -> int:
    await wire.answer(struct.pack("<i256s", command, name.encode()))
    return await wire.announced()


async def read(wire: Wire, name: str) -> bytes:
    return await wire.take(await ask(wire, READ, name))


async def done(wire: Wire) -> None:
    await wire.answer(struct.pack("<i256s", DONE, b"anything"))


def play(host: Host, node: Node, family: Family = FAMILIES["2763"]) -> Watched:
    """Host and node at once, until both have said all they have to say."""

    async def both() -> Watched:
        device = SimBus().plug(Location("1-1.1"), family.loader)
        async with device.open() as link:
            watched = Watched(link)
            await asyncio.gather(host(watched), node(device.wire))
            return watched

    return clock.run(both())


def serve(files: dict[str, bytes], node: Node, limits: Limits = LIMITS) -> Told:
    told = Told()
    play(lambda link: loader.serve_files(link, Files(files).find, limits, told), node)
    return told


# -- files for the second stage ------------------------------------------------------------------------


def test_a_file_is_sized_and_read() -> None:
    async def node(wire: Wire) -> None:
        assert await ask(wire, SIZE, "start.elf") == len(BIG)
        assert await read(wire, "start.elf") == BIG
        await done(wire)

    told = serve({"start.elf": BIG}, node)
    assert told.served_files == [("start.elf", BIG)]
    assert told.reading == ["start.elf"]
    assert told.bytes_sent == len(BIG)


def test_the_bytes_read_are_those_that_were_sized_though_the_file_is_replaced() -> None:
    files = {"config.txt": b"old"}

    async def node(wire: Wire) -> None:
        assert await ask(wire, SIZE, "config.txt") == 3
        files["config.txt"] = b"brand new"
        assert await read(wire, "config.txt") == b"old"
        assert await ask(wire, SIZE, "config.txt") == 9
        assert await read(wire, "config.txt") == b"brand new"
        await done(wire)

    assert serve(files, node).served_files == [("config.txt", b"old"), ("config.txt", b"brand new")]


def test_a_snapshot_is_read_once() -> None:
    files = {"config.txt": b"old"}

    async def node(wire: Wire) -> None:
        await ask(wire, SIZE, "config.txt")
        assert await read(wire, "config.txt") == b"old"
        files["config.txt"] = b"new"
        assert await read(wire, "config.txt") == b"new"
        await done(wire)

    serve(files, node)


def test_a_read_without_a_size_before_it_is_answered() -> None:
    async def node(wire: Wire) -> None:
        assert await read(wire, "fixup.dat") == b"fix"
        await done(wire)

    assert serve({"fixup.dat": b"fix"}, node).served_files == [("fixup.dat", b"fix")]


def test_a_read_gets_the_file_it_names_and_not_the_one_sized_before() -> None:
    async def node(wire: Wire) -> None:
        assert await ask(wire, SIZE, "start.elf") == 5
        assert await read(wire, "fixup.dat") == b"fix"
        assert await read(wire, "start.elf") == b"start"
        await done(wire)

    told = serve({"start.elf": b"start", "fixup.dat": b"fix"}, node)
    assert told.served_files == [("fixup.dat", b"fix"), ("start.elf", b"start")]


def test_what_is_missing_has_size_0_and_no_bytes() -> None:
    async def node(wire: Wire) -> None:
        assert await ask(wire, SIZE, "recovery.elf") == 0
        assert await ask(wire, READ, "recovery.elf") == 0
        assert await read(wire, "config.txt") == b"next"
        await done(wire)

    told = serve({"config.txt": b"next"}, node)
    assert told.bytes_sent == 4
    assert told.served_files[:2] == [("recovery.elf", b""), ("recovery.elf", b"")]


def test_a_template_that_cannot_be_filled_in_fails_the_slot() -> None:
    async def find(name: str) -> loader.File:
        raise BootError(f"{name}.template: what is ${{nmae}}?", Code.BAD_TEMPLATE)

    async def node(wire: Wire) -> None:
        await wire.answer(struct.pack("<i256s", SIZE, b"cmdline.txt"))

    with pytest.raises(BootError, match="nmae") as failed:
        play(lambda link: loader.serve_files(link, find, LIMITS, Told()), node)
    assert failed.value.problem.code is Code.BAD_TEMPLATE


def test_metadata_is_noted_and_answered() -> None:
    async def node(wire: Wire) -> None:
        assert await ask(wire, SIZE, "*MAC_ADDR*dc:a6:32:00:00:01") == 0
        assert await ask(wire, READ, "*EEPROM_UPDATE*") == 0
        await done(wire)

    told = serve({}, node)
    assert told.metadata == {"MAC_ADDR": "dc:a6:32:00:00:01", "EEPROM_UPDATE": ""}
    assert told.served_files == []


# -- the end of it --------------------------------------------------------------------------------------


def test_done_is_not_answered() -> None:
    async def node(wire: Wire) -> None:
        await done(wire)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await wire.announced()

    serve({}, node)


@pytest.mark.parametrize("command", [SIZE, READ, DONE, 77])
def test_an_empty_name_is_answered_and_ends_it(command: int) -> None:
    async def node(wire: Wire) -> None:
        assert await ask(wire, command, "") == 0

    serve({}, node)


def test_a_node_may_leave_instead_of_taking_its_last_answer() -> None:
    async def node(wire: Wire) -> None:
        await wire.answer(struct.pack("<i256s", SIZE, b""))
        wire.close()

    serve({}, node)


def test_leaving_between_two_requests_is_the_end_of_many_boots() -> None:
    async def node(wire: Wire) -> None:
        await read(wire, "config.txt")
        wire.close()

    assert serve({"config.txt": b"x"}, node).served_files == [("config.txt", b"x")]


async def leave_at_once(wire: Wire) -> None:
    wire.close()


async def leave_after_nonsense(wire: Wire) -> None:
    await wire.answer(b"nonsense")
    await wire.announced()
    wire.close()


async def leave_while_asking(wire: Wire) -> None:
    await wire.answer(struct.pack("<i256s", SIZE, b"start.elf"))
    wire.close()


async def leave_while_reading(wire: Wire) -> None:
    await ask(wire, SIZE, "start.elf")
    assert await ask(wire, READ, "start.elf") == len(BIG)
    await wire.take(100)
    wire.close()


@pytest.mark.parametrize(
    "node", [leave_at_once, leave_after_nonsense, leave_while_asking, leave_while_reading]
)
def test_leaving_before_or_in_the_middle_of_an_answer_is_told(node: Node) -> None:
    with pytest.raises(DeviceLeft):
        serve({"start.elf": BIG}, node)


def test_a_silent_node_gets_one_read_and_no_other() -> None:
    told, links = Told(), []

    async def host(link: Link) -> None:
        links.append(link)
        with pytest.raises(Silent):
            await loader.serve_files(link, Files({}).find, LIMITS, told)
        assert asyncio.get_running_loop().time() == pytest.approx(LIMITS.control_in)

    async def node(wire: Wire) -> None:
        await asyncio.sleep(10 * LIMITS.control_in)

    assert play(host, node).reads == 1


def test_nonsense_is_tolerated_three_times_and_answered() -> None:
    async def node(wire: Wire) -> None:
        for nonsense in (b"", b"\xff" * 260, struct.pack("<i256s", 9, b"config.txt")):
            await wire.answer(nonsense)
            assert await wire.announced() == 0
        assert await read(wire, "config.txt") == b"x"
        await done(wire)

    assert len(serve({"config.txt": b"x"}, node).complaints) == 3


def test_nonsense_once_more_is_a_failure_that_says_what_it_was() -> None:
    async def node(wire: Wire) -> None:
        with suppress(WireGone):
            for number in range(4):
                await wire.answer(struct.pack("<i256s", 70 + number, b"config.txt"))
                await wire.announced()

    with pytest.raises(BootError, match=r"4 malformed requests, the last: unknown command 73") as failed:
        serve({}, node)
    assert not isinstance(failed.value, DeviceLeft)


# -- bootcode for the ROM ---------------------------------------------------------------------------


def feed(node: Node, signature: bytes = b"") -> int:
    """Send bootcode; returns how many bytes of it were told of."""
    counts: list[int] = []
    play(lambda link: loader.send_bootcode(link, BIG, signature, LIMITS, counts.append), node)
    return sum(counts)


def rom(answer: bytes, header: bytes = rpiboot.boot_header(len(BIG))) -> Node:
    async def node(wire: Wire) -> None:
        assert await wire.announced() == 24
        assert await wire.take(24) == header
        assert await wire.announced() == len(BIG)
        assert await wire.take(len(BIG)) == BIG
        await wire.answer(answer)

    return node


def test_the_rom_gets_header_and_bootcode() -> None:
    assert feed(rom(bytes(4))) == len(BIG)


def test_a_signature_goes_into_the_header() -> None:
    feed(rom(bytes(4), struct.pack("<i", len(BIG)) + b"s" * 20), b"s" * 20)


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b"\1\0\0\0", "result 1"), (b"\xff" * 4, "result -1"), (b"\0\0", "2 bytes instead of 4")],
)
def test_a_rom_that_refuses_the_bootcode_is_a_failure(answer: bytes, why: str) -> None:
    with pytest.raises(BootError, match=why):
        feed(rom(answer))


def test_a_pi_4_may_leave_before_it_reports() -> None:
    async def node(wire: Wire) -> None:
        await wire.take(24 + len(BIG))
        wire.close()

    assert feed(node) == len(BIG)


def test_a_rom_that_leaves_while_it_reads_has_left() -> None:
    async def node(wire: Wire) -> None:
        await wire.take(24 + 1000)
        wire.close()

    with pytest.raises(DeviceLeft):
        feed(node)


def test_a_rom_that_never_reports_is_silent() -> None:
    async def node(wire: Wire) -> None:
        await wire.take(24 + len(BIG))
        await asyncio.sleep(10 * LIMITS.control_in)

    with pytest.raises(Silent):
        feed(node)


# -- cancelled at every await ---------------------------------------------------------------------------


@coroutine
def cancelled_at(step: int, work: Coroutine[Any, Any, None]) -> Generator[Any, None, bool]:
    """Do some work and cancel it at its n-th await; False if it has fewer."""
    go_on: Callable[[], Any] = partial(work.send, None)
    for number in itertools.count(1):
        try:
            waits_for = go_on()
        except StopIteration:
            return number > step
        if number == step:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            yield waits_for
            go_on = partial(work.send, None)
        except BaseException as error:  # noqa: BLE001
            go_on = partial(work.throw, error)
    raise AssertionError


async def everything(wire: Wire) -> None:
    """A ROM and a second stage in one, with all they can ask, and time to think before each answer."""
    with suppress(WireGone):
        await wire.take(24 + len(BIG))
        await asyncio.sleep(0.01)
        await wire.answer(bytes(4))
        for _ in range(2):
            await wire.announced()
        await wire.answer(b"nonsense")
        await wire.announced()
        for command, name in (
            (SIZE, "*KEY*value"),
            (SIZE, "missing"),
            (SIZE, "start.elf"),
            (READ, "start.elf"),
        ):
            await asyncio.sleep(0.01)
            size = await ask(wire, command, name)
        await asyncio.sleep(0.01)
        await wire.take(size)
        await read(wire, "start.elf")
        await asyncio.sleep(0.01)
        await ask(wire, SIZE, "")


async def cancel_at(step: int) -> bool:
    """Cancel a whole exchange at its n-th await and see what is left of it; False if it had fewer."""
    device = SimBus().plug(Location("1-1.1"), FAMILIES["2763"].loader)
    node = asyncio.create_task(everything(device.wire))

    async def host(link: Link) -> None:
        told = Told()
        await loader.send_bootcode(link, BIG, b"", LIMITS, told.sent)
        await loader.serve_files(link, Files({"start.elf": BIG}).find, LIMITS, told)

    async with device.open() as opened:
        link = Watched(opened)
        task = asyncio.create_task(cancelled_at(step, host(link)))
        await asyncio.wait({task})
    assert link.in_flight == 0
    assert asyncio.all_tasks() <= {asyncio.current_task(), node}
    device.leave()
    await node
    assert task.cancelled() or not task.result(), "the cancellation was swallowed"
    return task.cancelled()


def test_cancelled_at_any_await_it_ends_at_once_and_leaves_nothing_under_way() -> None:
    steps = 1
    while clock.run(cancel_at(steps)):
        steps += 1
    assert steps > 20
