"""The rig itself works: boot, commands, hub power, a boot device, a network gadget, a hung device."""

from __future__ import annotations

import asyncio

import pytest

from terrible.sim.families import FAMILIES, GADGET
from terrible.sim.pi import Pi, Plug, Timing
from terrible.usb.identify import Descriptors

from .conftest import Rig
from .gadget import network
from .remote import GuestError

pytestmark = pytest.mark.rig

DEVICES = "/sys/bus/usb/devices"
PAYLOAD = bytes(range(251)) * 1200
FIND = """
import usb1
context = usb1.USBContext().open()
(device,) = [d for d in context.getDeviceIterator() if d.getVendorID() == 0x0A5C]
handle = device.open()
"""
SEND = f"""{FIND}
import sys
payload = sys.stdin.buffer.read()
handle.claimInterface(0)
handle.controlWrite(0x40, 0, len(payload) & 0xFFFF, len(payload) >> 16, b"", 3000)
assert handle.bulkWrite(0x01, payload, 10000) == len(payload)
sys.stdout.buffer.write(handle.controlRead(0xC0, 0, 260, 0, 260, 3000))
"""
ASK = FIND + "handle.getASCIIStringDescriptor(2)"


class Reader:
    """A ROM that takes one payload, counts it and answers."""

    def __init__(self) -> None:
        self.taken = b""

    async def power_on(self, plug: Plug) -> None:
        wire = plug.attach(FAMILIES["2763"].rom)
        self.taken = await wire.take(await wire.announced())
        await wire.answer(b"thanks")
        await asyncio.Event().wait()

    async def answering(self, wanted: bool) -> None:
        if wanted:
            await asyncio.Event().wait()


class Gadget:
    """A Pi that has booted long ago."""

    def __init__(self, becomes: Descriptors = GADGET) -> None:
        self.becomes = becomes
        self.orders: asyncio.Queue[bool] = asyncio.Queue()

    async def power_on(self, plug: Plug) -> None:
        plug.attach(self.becomes)
        await asyncio.Event().wait()

    async def answering(self, wanted: bool) -> None:
        while await self.orders.get() is not wanted:
            pass


def test_commands_and_files(rig: Rig) -> None:
    async def story() -> None:
        result = await rig.head.run(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"in\0put", check=False)
        assert (result.rc, result.stdout, result.stderr) == (3, b"in\0put", b"err\n")
        await rig.head.put("/tmp/some/where/file", PAYLOAD)
        assert await rig.head.get("/tmp/some/where/file") == PAYLOAD
        with pytest.raises(GuestError, match="FileNotFoundError"):
            await rig.head.get("/no/such/file")

    rig.run(story())


def test_background_command_takes_signals_and_dies_with_its_block(rig: Rig) -> None:
    script = 'trap "echo bye; exit 4" TERM; echo $$ up; while :; do usleep 10000; done'

    async def story() -> None:
        async with rig.head.spawn(["sh", "-c", script]) as process:
            await process.expect("up")
            await process.signal()
            await process.expect("bye")
            assert await process.wait() == 4
        async with rig.head.spawn(["sh", "-c", script]) as process:
            await process.expect("up")
        await rig.head.until(f"! test -e /proc/{process.pid}")

    rig.run(story())


def test_guest_reaches_the_loopback_of_the_test(rig: Rig) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()

    async def story() -> None:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert (await rig.head.run(["nc", "10.0.2.2", str(port)])).stdout == b"hello\n"

    rig.run(story())


def test_uhubctl_switches_ports_and_the_trace_tells(rig: Rig) -> None:
    changes: list[tuple[int, bool]] = []

    async def story() -> None:
        await rig.head.until(f"test -e {DEVICES}/1-1")
        listing = (await rig.head.run(["uhubctl"])).text.splitlines()
        assert "hub 1-1 [0409:55aa" in listing[0]
        assert listing[1:] == [f"  Port {port}: 0100 power" for port in (1, 2, 3, 4)]
        rig.head.watch_power(lambda port, on: changes.append((port, on)))
        changes.clear()
        await switch(rig, 2, "off")
        await switch(rig, 2, "on")

    rig.run(story())
    assert changes == [(2, False), (2, True)]


def test_boot_device_is_seen_and_served(rig: Rig) -> None:
    async def story() -> None:
        reader = Reader()
        rig.hub.insert(2, reader)
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        assert await attributes(rig, "1-1.2") == ["0a5c", "2763", "BCM2708 Boot", "12", "ff"]
        answer = await rig.head.run(["python3", "-c", SEND], stdin=PAYLOAD)
        assert answer.stdout == b"thanks"
        assert reader.taken == PAYLOAD

    rig.run(story())


def test_power_cut_takes_the_device_and_power_brings_it_back(rig: Rig) -> None:
    async def story() -> None:
        rig.hub.insert(1, Reader())
        rig.hub.insert(3, Reader())
        await rig.head.until(f"test -e {DEVICES}/1-1.1/product && test -e {DEVICES}/1-1.3/product")
        await switch(rig, 3, "off")
        await rig.head.until(f"! test -e {DEVICES}/1-1.3")
        await switch(rig, 2, "off")
        await switch(rig, 2, "on")  # QEMU would bring 3 back here
        assert "Port 3: 0000 off" in (await rig.head.run(["uhubctl", "-l", "1-1"])).text
        await switch(rig, 3, "on")
        await rig.head.until(f"test -e {DEVICES}/1-1.3/product")

    rig.run(story())


def test_gadget_binds_rndis_host_and_answers_ping(rig: Rig) -> None:
    link = network(4)
    name = f"enx{link.host_mac.hex()}"
    ping = ["ping", "-c", "1", "-W", "2", "-s", "1400", str(link.address)]

    async def story() -> None:
        gadget = Gadget()
        gadget.orders.put_nowait(True)
        rig.hub.insert(4, gadget)
        await rig.head.until(f"test -e {DEVICES}/1-1.4:1.0/net/{name}")
        await rig.head.run(["ip", "link", "set", name, "up"])
        await rig.head.run(["ip", "addr", "add", "10.42.0.254/24", "dev", name])
        await rig.head.run(ping)
        assert link.device_mac.hex(":") in (await rig.head.run(["ip", "neigh"])).text
        gadget.orders.put_nowait(False)
        assert (await rig.head.run(ping, check=False)).rc == 1

    rig.run(story())


def test_hung_device_answers_nothing_until_power_is_cut(rig: Rig) -> None:
    async def story() -> None:
        rig.hub.insert(1, Reader())
        await rig.head.until(f"test -e {DEVICES}/1-1.1/product")
        rig.hub.hang(1)
        asked = await rig.head.run(["python3", "-c", ASK], check=False)
        assert b"LIBUSB_ERROR_TIMEOUT" in asked.stderr
        await switch(rig, 1, "off")
        await switch(rig, 1, "on")
        await rig.head.until(f"test -e {DEVICES}/1-1.1/product")
        await rig.head.run(["python3", "-c", ASK])

    rig.run(story())


def test_second_stage_follows_the_first(rig: Rig) -> None:
    """The simulator's own Pi, unmodified: after its bootcode it leaves and comes back as another device."""

    async def story() -> None:
        rig.hub.insert(2, Pi(timing=Timing(gap=0.5)))
        await rig.head.until(f"grep -q 2763 {DEVICES}/1-1.2/idProduct")
        serve = FIND + (
            "handle.claimInterface(0)\n"
            "for data in (bytes([4, 0, 0, 0]).ljust(24, b'\\0'), b'boot'):\n"
            "    handle.controlWrite(0x40, 0, len(data), 0, b'', 3000)\n"
            "    handle.bulkWrite(1, data, 3000)\n"
            "assert handle.controlRead(0xC0, 0, 4, 0, 4, 3000) == bytes(4)\n"
        )
        await rig.head.run(["python3", "-c", serve])
        await rig.head.until(f"grep -q 2764 {DEVICES}/1-1.2/idProduct")
        await rig.head.until(f"grep -q Broadcom {DEVICES}/1-1.2/serial")

    rig.run(story())


async def switch(rig: Rig, port: int, action: str) -> None:
    await rig.head.run(["uhubctl", "-l", "1-1", "-p", str(port), "-a", action])


async def attributes(rig: Rig, location: str) -> list[str]:
    names = ["idVendor", "idProduct", "product", "speed", f"{location}:1.0/bInterfaceClass"]
    paths = [f"{DEVICES}/{location}/{name}" for name in names]
    return (await rig.head.run(["cat", *paths])).text.splitlines()
