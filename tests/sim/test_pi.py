"""The simulated Pi as a host sees it: what it asks, what can be wrong with it, and its wire."""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from terrible.model import Stage
from terrible.sim.families import DISK, FAMILIES, GADGET, Family
from terrible.sim.faults import HOSTILE_NAMES, MALFORMED, Fault, Kind
from terrible.sim.pi import ORDER, Pi, Timing
from terrible.sim.wire import Stall, Wire, WireGone
from terrible.usb import identify, rpiboot
from terrible.usb.identify import Descriptors
from tests import clock

BOOTCODE = b"bootcode" * 5000
FILES = {
    "config.txt": b"arm_64bit=0\n",
    "start.elf": b"start" * 20_000,
    "fixup.dat": b"fixup" * 1000,
    "cmdline.txt": b"console=serial0\n",
    "kernel.img": b"kernel" * 50_000,
    "bcm2708-rpi-zero.dtb": b"dtb" * 5000,
    "overlays/dwc2.dtbo": b"overlay",
}
FIRMWARE = [
    "autoboot.txt",
    "config.txt",
    "recovery.elf",
    "start.elf",
    "fixup.dat",
    "recovery.elf",
    "config.txt",
    "dt-blob.bin",
    "cmdline.txt",
    "recovery7.img",
    "kernel.img",
    "armstub.bin",
    "bcm2708-rpi-zero.dtb",
    "config.txt",
    "overlays/dwc2.dtbo",
]
"""What a Zero asks for (usbboot issues 13 and 30)."""
Story = Callable[["Host"], Coroutine[Any, Any, None]]


@dataclass
class Host:
    """A port and a patient host behind it: the shortest that boots a Pi."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    asked: list[str] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    shown: list[tuple[float, Stage | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wires: asyncio.Queue[Wire] = asyncio.Queue()
        self._wire: Wire | None = None

    # -- the port -------------------------------------------------------------------------------

    def attach(self, descriptors: Descriptors) -> Wire:
        self.shown.append((now(), identify.stage(descriptors)))
        self._wire = Wire()
        self._wires.put_nowait(self._wire)
        return self._wire

    def detach(self) -> None:
        self.shown.append((now(), None))
        if self._wire is not None:
            self._wire.close()

    @property
    def stages(self) -> list[Stage | None]:
        return [stage for _, stage in self.shown]

    def at(self, stage: Stage) -> float:
        return next(time for time, shown in self.shown if shown is stage)

    # -- the host ---------------------------------------------------------------------------------

    async def next(self) -> Wire:
        async with asyncio.timeout(100):
            return await self._wires.get()

    async def feed(self, length: int = len(BOOTCODE)) -> bytes | None:
        """Serve one ROM; returns its report, None where it left without one."""
        wire = await self.next()
        await send(wire, rpiboot.boot_header(length))
        await send(wire, BOOTCODE)
        try:
            async with asyncio.timeout(10):
                return await wire.host_in(4)
        except WireGone:
            return None

    async def serve(self) -> bool:
        """Serve one second stage; False where it stops asking."""
        wire = await self.next()
        while True:
            try:
                async with asyncio.timeout(60):
                    data = await wire.host_in(260)
            except TimeoutError:
                return False
            self.raw.append(data)
            if not await self._answer(wire, data):
                return True

    async def _answer(self, wire: Wire, data: bytes) -> bool:
        try:
            request = rpiboot.parse_request(data)
        except rpiboot.BadRequest:
            await announce(wire, 0)
            return True
        if request.kind is rpiboot.Kind.EMPTY:
            with suppress(WireGone):  # it may leave at once
                await announce(wire, 0)
            return False
        content = self.files.get(request.name, b"")
        if request.kind is rpiboot.Kind.READ:
            await send(wire, content)
        else:
            self.asked.append(request.name)
            await announce(wire, len(content))
        return True


def now() -> float:
    return asyncio.get_running_loop().time()


async def announce(wire: Wire, length: int) -> None:
    await wire.host_out(*rpiboot.announcement(length))


async def send(wire: Wire, data: bytes) -> None:
    await announce(wire, len(data))
    for start in range(0, len(data), 16_384):
        await wire.host_bulk(data[start : start + 16_384])


def play(pi: Pi, story: Story, host: Host | None = None) -> Host:
    """Power a Pi in a port of this host, until the story ends."""

    async def scene() -> Host:
        stage = host or Host()
        life = asyncio.create_task(pi.power_on(stage))
        await story(stage)
        life.cancel()
        await asyncio.wait({life})
        assert life.cancelled(), life.exception()
        return stage

    return clock.run(scene())


def faulty(kind: Kind, times: int | None = 1) -> Pi:
    return Pi(faults=[Fault(kind, times)])


async def boot(host: Host) -> None:
    await host.feed()
    assert await host.serve()
    await host.next()


# -- a boot --------------------------------------------------------------------------------------------


def test_a_boot_goes_through_its_stages_and_every_byte_arrives() -> None:
    pi = Pi()
    host = play(pi, boot)
    assert host.stages == [Stage.ROM, None, Stage.LOADER, None, Stage.GADGET]
    assert pi.bootcode == hashlib.sha256(BOOTCODE).hexdigest()
    served = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert pi.read == {name: served.get(name) for name in ORDER}


def test_files_are_asked_for_in_the_order_of_real_firmware_misses_included() -> None:
    host = play(Pi(), boot)
    assert host.asked == FIRMWARE
    commands = [struct.unpack_from("<i", data)[0] for data in host.raw]
    assert commands.count(1) == sum(name in FILES for name in ORDER), "what is missing is not read"
    assert all(len(data) == 260 for data in host.raw)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_each_family_shows_itself_as_the_agent_knows_it(family: Family) -> None:
    assert identify.stage(family.rom) is Stage.ROM
    assert identify.stage(family.loader) is Stage.LOADER
    assert identify.BOOTCODE[identify.chip(family.rom)] == family.bootcode

    async def story(host: Host) -> None:
        report = await host.feed()
        assert report == (bytes(4) if family.reports else None)
        assert await host.serve()
        await host.next()

    assert play(Pi(family), story).stages[-1] is Stage.GADGET


@pytest.mark.parametrize(("becomes", "stage"), [(GADGET, Stage.GADGET), (DISK, Stage.DISK)])
def test_what_it_becomes(becomes: Descriptors, stage: Stage) -> None:
    assert play(Pi(becomes=becomes), boot).stages[-1] is stage


def test_metadata_comes_first() -> None:
    host = play(Pi(metadata=["*USER_SERIAL_NUM*1234", "*MAC_ADDR*aa"]), boot)
    assert host.asked[:3] == ["*USER_SERIAL_NUM*1234", "*MAC_ADDR*aa", "autoboot.txt"]


@pytest.mark.parametrize("required", ["start.elf", "kernel.img"])
def test_without_a_required_file_it_stops_for_good(required: str) -> None:
    async def story(host: Host) -> None:
        await host.feed()
        assert not await host.serve()

    files = {name: content for name, content in FILES.items() if name != required}
    host = play(Pi(), story, Host(files))
    assert host.asked[-1] == required
    assert host.stages[-1] is Stage.LOADER


# -- time ------------------------------------------------------------------------------------------------


def moments(timing: Timing) -> list[float]:
    return [time for time, _ in play(Pi(timing=timing), boot).shown]


def test_steps_take_their_time() -> None:
    timing = Timing(rom=1.0, gap=2.0, request=0.01, initramfs_pause=3.0, kernel=5.0)
    rom, left, loader, started, gadget = moments(timing)
    assert (rom, loader - left, gadget - started) == (1.0, 2.0, 5.0)
    assert started - loader == pytest.approx(3.0 + 0.01 * len(ORDER))


@pytest.mark.parametrize("speed", [0.5, 10.0, 1000.0])
def test_a_scaled_pi_is_so_many_times_as_fast(speed: float) -> None:
    assert moments(Timing().scaled(speed)) == pytest.approx([time / speed for time in moments(Timing())])


# -- what can be wrong with it ---------------------------------------------------------------------------


async def stalls(host: Host) -> None:
    wire = await host.next()
    await announce(wire, 24)
    with pytest.raises(Stall):
        await wire.host_bulk(rpiboot.boot_header(1))


async def takes_only_the_header(host: Host) -> None:
    wire = await host.next()
    await send(wire, rpiboot.boot_header(len(BOOTCODE)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await send(wire, BOOTCODE)
    assert host.stages == [Stage.ROM]


async def reports_1(host: Host) -> None:
    assert await host.feed() == b"\1\0\0\0"
    await asyncio.sleep(100)
    assert host.stages == [Stage.ROM]


async def leaves_for_good(host: Host) -> None:
    await host.feed()
    await asyncio.sleep(100)
    assert host.stages == [Stage.ROM, None]


async def comes_back_as_a_rom(host: Host) -> None:
    await host.feed()
    await boot(host)
    assert host.stages == [Stage.ROM, None, Stage.ROM, None, Stage.LOADER, None, Stage.GADGET]


async def asks_nothing(host: Host) -> None:
    await host.feed()
    assert not await host.serve()
    assert host.raw == []
    assert host.stages[-1] is Stage.LOADER


async def asks_nothing_after_start(host: Host) -> None:
    await host.feed()
    assert not await host.serve()
    assert host.asked[-1] == "start.elf"


async def asks_nonsense(host: Host) -> None:
    await boot(host)
    assert host.raw[0] == MALFORMED[0]
    for malformed in MALFORMED:
        with pytest.raises(rpiboot.BadRequest):
            rpiboot.parse_request(malformed)
    assert host.asked == list(ORDER)


async def asks_for_the_shadow(host: Host) -> None:
    await boot(host)
    assert host.asked == [*HOSTILE_NAMES, *ORDER]


async def never_becomes_a_gadget(host: Host) -> None:
    await host.feed()
    assert await host.serve()
    await asyncio.sleep(1000)
    assert host.stages == [Stage.ROM, None, Stage.LOADER, None]


FAULTS: dict[Kind, Story] = {
    Kind.BOOTCODE_STALLS: stalls,
    Kind.ROM_HANGS: takes_only_the_header,
    Kind.ROM_REJECTS: reports_1,
    Kind.ROM_VANISHES: leaves_for_good,
    Kind.ROM_AGAIN: comes_back_as_a_rom,
    Kind.LOADER_SILENT: asks_nothing,
    Kind.STALLS_AFTER_START: asks_nothing_after_start,
    Kind.MALFORMED: asks_nonsense,
    Kind.HOSTILE_NAMES: asks_for_the_shadow,
    Kind.KERNEL_PANICS: never_becomes_a_gadget,
}


@pytest.mark.parametrize("kind", Kind)
def test_a_fault_shows_on_the_wire_and_is_over_after_it_has_struck(kind: Kind) -> None:
    pi = faulty(kind)
    play(pi, FAULTS[kind])
    host = play(pi, boot)
    assert host.stages == [Stage.ROM, None, Stage.LOADER, None, Stage.GADGET]


def test_a_wrong_length_is_refused() -> None:
    async def story(host: Host) -> None:
        assert await host.feed(length=7) == b"\1\0\0\0"

    play(Pi(), story)


def test_all_of_what_is_malformed_is_asked_where_it_strikes_often() -> None:
    host = play(faulty(Kind.MALFORMED, None), boot)
    assert host.raw[: len(MALFORMED)] == list(MALFORMED)


def test_a_served_hostile_name_is_on_record() -> None:
    pi = faulty(Kind.HOSTILE_NAMES)
    play(pi, boot, Host(FILES | {"/etc/shadow": b"root"}))
    assert {name: pi.read[name] for name in HOSTILE_NAMES if pi.read[name]} == {"/etc/shadow": "served"}


@pytest.mark.parametrize(("times", "strikes"), [(0, 0), (1, 1), (3, 3), (None, 50)])
def test_a_fault_strikes_so_many_times(times: int | None, strikes: int) -> None:
    fault, dice = Fault(Kind.ROM_HANGS, times), random.Random(1)
    assert sum(fault.strikes(dice) for _ in range(50)) == strikes


def test_a_bad_slot_fails_so_often() -> None:
    fault, dice = Fault(Kind.ROM_HANGS, None, chance=0.25), random.Random(1)
    assert 200 < sum(fault.strikes(dice) for _ in range(1000)) < 300


# -- what people do on the node ----------------------------------------------------------------------------


async def obey(host: Host, pi: Pi, orders: Sequence[str]) -> None:
    await boot(host)
    for order in orders:
        pi.tell(order)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("orders", "answers"),
    [((), True), (("hang",), False), (("hang", "recover"), True), (("poweroff",), False)],
)
def test_whether_it_answers(orders: Sequence[str], answers: bool) -> None:
    pi = Pi()

    async def story(host: Host) -> None:
        await obey(host, pi, orders)
        async with asyncio.timeout(1):
            await pi.answering(answers)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await pi.answering(not answers)

    play(pi, story)


def test_after_a_reboot_it_is_a_rom_again_and_after_a_poweroff_nothing() -> None:
    pi = Pi()

    async def story(host: Host) -> None:
        await obey(host, pi, ["reboot"])
        await boot(host)
        pi.tell("poweroff")
        await asyncio.sleep(1000)
        assert host.stages[4:6] == [Stage.GADGET, None]
        assert host.stages[6:] == [Stage.ROM, None, Stage.LOADER, None, Stage.GADGET, None]

    play(pi, story)


def test_without_power_it_does_not_answer() -> None:
    pi = Pi()
    play(pi, boot)

    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await pi.answering(True)

    clock.run(story())


# -- the wire ----------------------------------------------------------------------------------------------


def test_a_bulk_transfer_that_was_cancelled_never_arrives() -> None:
    async def story() -> None:
        wire = Wire()
        lost = asyncio.create_task(wire.host_bulk(b"lost"))
        await asyncio.sleep(0)
        kept = asyncio.create_task(wire.host_bulk(b"kept"))
        await asyncio.sleep(0)
        lost.cancel()
        await asyncio.wait({lost})
        assert await wire.take(4) == b"kept"
        await kept

    clock.run(story())


def test_a_read_that_was_given_up_gets_no_answer() -> None:
    async def story() -> None:
        wire = Wire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await wire.host_in(4)
        answer = asyncio.create_task(wire.answer(b"12345678"))
        assert await wire.host_in(4) == b"1234"
        await answer

    clock.run(story())


def test_announcements_and_bulk_pieces_keep_their_order() -> None:
    async def story() -> None:
        wire = Wire()
        await wire.host_out(3, 0)
        await wire.host_out(0, 1)
        pieces = [asyncio.create_task(wire.host_bulk(piece)) for piece in (b"ab", b"cd", b"ef")]
        assert [await wire.announced(), await wire.announced()] == [3, 65_536]
        assert await wire.take(3) == b"abc"
        assert await wire.take(2) == b"ef", "what a transfer brings beyond what was asked is lost"
        await asyncio.gather(*pieces)

    clock.run(story())


def test_when_it_leaves_everything_under_way_fails_and_nothing_begins() -> None:
    async def story() -> None:
        wire = Wire()
        under_way: list[asyncio.Task[Any]] = [
            asyncio.create_task(wire.host_bulk(b"data")),
            asyncio.create_task(wire.host_in(4)),
            asyncio.create_task(wire.announced()),
        ]
        await asyncio.sleep(0)
        wire.close()
        wire.close()
        await asyncio.wait(under_way)
        assert [type(task.exception()) for task in under_way] == [WireGone] * 3
        for late in (
            wire.host_bulk(b""),
            wire.host_in(4),
            wire.host_out(1, 0),
            wire.take(1),
            wire.answer(b""),
        ):
            with pytest.raises(WireGone):
                await late

    clock.run(story())


def test_a_stall_refuses_bulk_under_way_and_to_come_but_not_control() -> None:
    async def story() -> None:
        wire = Wire()
        early = asyncio.create_task(wire.host_bulk(b"data"))
        await asyncio.sleep(0)
        wire.refuse_bulk()
        await asyncio.wait({early})
        assert type(early.exception()) is Stall
        with pytest.raises(Stall):
            await wire.host_bulk(b"data")
        await wire.host_out(1, 0)
        assert await wire.announced() == 1

    clock.run(story())
