"""The agent itself on a real kernel, real libusb and a real switchable hub, booting emulated Pis."""

from __future__ import annotations

import signal

import pytest

from terrible.sim.families import FAMILIES
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from tests.mqtt.brokers import Mosquitto

from .agent import BOOT, BRISK, NODES, agent, four
from .conftest import Rig
from .gadget import network

pytestmark = pytest.mark.rig


@pytest.mark.parametrize("family", FAMILIES)
def test_serve_boots_one_pi_of_every_family(rig: Rig, files: dict[str, str], family: str) -> None:
    async def story() -> None:
        pi = Pi(FAMILIES[family], timing=BRISK)
        async with rig.head.spawn(["python3", "-m", "terrible", "serve", "-d", BOOT]) as serve:
            await serve.expect("waiting for Pis")
            rig.hub.insert(1, pi)
            await serve.expect(r"1-1\.1  up")
            assert await serve.wait() == 0
        assert pi.bootcode == files[pi.family.bootcode]
        assert pi.read["start.elf"] == files["start.elf"]
        assert pi.read["kernel.img"] == files["kernel.img"]

    rig.run(story())


def test_four_nodes_boot_from_power_to_ping(rig: Rig, files: dict[str, str], broker: Mosquitto) -> None:
    async def story() -> None:
        for number in "1234":
            await rig.head.run(["uhubctl", "-l", "1-1", "-p", number, "-a", "off"])
        pis = four(rig)
        async with agent(rig, broker) as (process, ear):
            await ear.until_phase("up", *NODES)
            for port, pi in enumerate(pis, start=1):
                served = {name: sha for name, sha in pi.read.items() if sha and name != "cmdline.txt"}
                assert served == {name: files[name] for name in served}
                assert pi.bootcode == files["bootcode.bin"]
                net = network(port)
                interface = f"/sys/bus/usb/devices/1-1.{port}:1.0/net"
                await rig.head.until(f"ls {interface}")
                name = (await rig.head.run(["ls", interface])).text.strip()
                await rig.head.run(["ip", "addr", "add", f"10.42.0.{100 + port}/32", "dev", name])
                await rig.head.run(["ip", "link", "set", name, "up"])
                await rig.head.run(["ip", "route", "add", str(net.address), "dev", name])
                await rig.head.run(["ping", "-c", "1", "-W", "5", str(net.address)])
            await process.signal(signal.SIGTERM)
            assert await process.wait(10) == 0

    rig.run(story())


@pytest.mark.parametrize("kind", [Kind.BOOTCODE_STALLS, Kind.LOADER_SILENT])
def test_a_bad_boot_is_recovered_by_port_power(
    rig: Rig, files: dict[str, str], broker: Mosquitto, kind: Kind
) -> None:
    async def story() -> None:
        four(rig, Fault(kind))
        cuts: list[int] = []
        rig.head.watch_power(lambda port, on: None if on else cuts.append(port))
        async with agent(rig, broker) as (_, ear):
            await ear.until_phase("up", *NODES)
            failed = [boot for boot in ear.boots if boot["outcome"] == "failed"]
            assert [boot["slot"] for boot in failed] == ["node3"]
        assert set(cuts) == {3}

    rig.run(story())
