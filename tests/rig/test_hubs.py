"""`terrible hubs` on a real kernel: it says what uhubctl says, and a probe finds what happens."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest
import rich

from terrible.sim.families import GADGET
from terrible.sim.pi import Pi, Plug, Timing

from .conftest import Rig
from .remote import Result
from .test_rig import DEVICES, Gadget, switch

pytestmark = pytest.mark.rig

HUBS = """
import json, sys
from pathlib import Path
from terrible.cli.hubs import Options, main
asked = json.loads(sys.argv[1])
config = asked.pop("config", None)
sys.exit(main(Options(config and Path(config), **asked)))
"""
"""As `terrible hubs` runs it; the guest has no typer."""
CONFIG = b'hub = "1-1"\nports = 4\nstate_directory = "/tmp/probes"\n[power]\nbackend = "%s"\n'
LIMIT = 200
"""Seconds for a command: two probes of up to 27 s, on an emulated processor that others may slow down."""


async def hubs(rig: Rig, *, user: str | None = None, check: bool = True, **asked: object) -> Result:
    command = ["python3", "-c", HUBS, json.dumps({"config": None, **asked})]
    return await rig.head.run(command, user=user, check=check, timeout=LIMIT)


async def as_json(rig: Rig, **asked: Any) -> dict[str, dict[str, Any]]:
    """Every hub by its name, its ports by their locations."""
    told = json.loads((await hubs(rig, as_json=True, **asked)).text)
    assert told["v"] == 1
    return {
        hub["name"]: {**hub, "ports": {port["location"]: port for port in hub["ports"]}}
        for hub in told["hubs"]
    }


async def configured(rig: Rig, backend: str = "auto") -> str:
    await rig.head.run(["rm", "-rf", "/tmp/probes"])
    await rig.head.put("/etc/hubs.toml", CONFIG % backend.encode())
    return "/etc/hubs.toml"


async def uhubctl(rig: Rig) -> dict[str, tuple[str, bool]]:
    """Ports of hub 1-1 to the ids of what is plugged in, and whether they have power."""
    lines = (await rig.head.run(["uhubctl", "-l", "1-1"])).text.splitlines()
    found = [re.match(r"  Port (\d): \w+ (power|off)(?:.*\[(\S+))?", line) for line in lines[1:]]
    return {f"1-1.{match[1]}": (match[3] or "", match[2] == "power") for match in found if match}


async def install_rich(rig: Rig) -> None:
    """The tables' library is pure Python; the guest's image is the agent's, which has none."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        source = Path(rich.__file__).parent
        archive.add(source, "rich", filter=lambda item: None if "__pycache__" in item.name else item)
    await rig.head.put("/tmp/rich.tar", packed.getvalue())
    await rig.head.run(["tar", "-x", "-f", "/tmp/rich.tar", "-C", "/usr/lib/python3/dist-packages"])


def test_every_port_is_as_uhubctl_says(rig: Rig) -> None:
    async def story() -> None:
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        rig.hub.insert(4, Gadget())
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product && test -e {DEVICES}/1-1.4:1.0/net")
        await switch(rig, 3, "off")
        said, seen = await as_json(rig, config=await configured(rig)), await uhubctl(rig)
        ports = said["1-1"]["ports"]
        assert {at: (port["ids"], port["power"]) for at, port in ports.items()} == seen
        assert [port["power"] for port in ports.values()] == [True, True, False, True]
        assert [port["stage"] for port in ports.values()] == [None, "rom", None, "gadget"]
        assert [port["slot"] for port in ports.values()] == ["node1", "node2", "node3", "node4"]
        assert {port["backend"] for port in ports.values()} == {"sysfs"}
        assert {port["over_current"] for port in ports.values()} == {False}
        assert said["1-1"]["switching"] == "per-port"
        assert said["usb1"]["ports"]["1-1"]["stage"] == "hub"

    rig.run(story(), LIMIT + 60)


def test_table_and_tree(rig: Rig) -> None:
    async def story() -> None:
        await install_rich(rig)
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        config = await configured(rig)
        table = (await hubs(rig, config=config)).text
        print(table)
        assert re.search(r"hub 1-1  0409:55aa .*4 ports.*switching: per port", table)
        assert re.search(r"1-1\.2 +node2 +ROM 0a5c:2763 BCM2708 Boot +on +no +sysfs +-", table)
        tree = (await hubs(rig, config=config, tree=True)).text
        print(tree)
        assert re.search(r"1-1\.2 node2: ROM 0a5c:2763 BCM2708 Boot; power on, switched by sysfs", tree)

    rig.run(story(), LIMIT + 60)


def test_without_permission_what_sysfs_tells_is_told(rig: Rig) -> None:
    async def story() -> None:
        await install_rich(rig)
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        told = (await hubs(rig, user="terrible")).text
        print(told)
        assert re.search(
            r"1-1\.2 +- +ROM 0a5c:2763 BCM2708 Boot +unknown \(no permission\) +unknown +unknown", told
        )
        assert told.splitlines()[-1].endswith("install packaging/70-terrible.rules, or run as root")
        refused = await hubs(rig, user="terrible", probe="1-1.2", check=False)
        assert refused.rc == 1
        assert b"no permission to open the hub at 1-1" in refused.stderr

    rig.run(story(), LIMIT + 60)


def test_an_agent_that_owns_the_bus_is_named(rig: Rig) -> None:
    async def story() -> None:
        async with rig.head.spawn(["python3", "-m", "terrible", "serve", "-l", "-d", "/tmp"]) as serve:
            await serve.expect("waiting for Pis")
            refused = await hubs(rig, as_json=True, check=False)
            assert refused.rc == 1
            assert f"another terrible is running (process {serve.pid}".encode() in refused.stderr

    rig.run(story(), LIMIT + 60)


@pytest.mark.parametrize("backend", ["sysfs", "hub"])
def test_a_probe_of_a_node_that_loses_its_power(rig: Rig, backend: str) -> None:
    async def story() -> None:
        rig.hub.insert(2, Rebooting())
        await rig.head.until(f"test -e {DEVICES}/1-1.2:1.0/net")
        config = await configured(rig) if backend == "sysfs" else None
        before = rig.head.powered.copy()
        cuts: list[tuple[int, bool]] = []
        rig.head.watch_power(lambda port, on: cuts.append((port, on)))
        cuts.clear()
        refused = await hubs(rig, config=config, probe="1-1.2", check=False)
        assert (refused.rc, cuts) == (1, [])
        assert b"node" in refused.stderr
        assert b"at 1-1.2, which may run" in refused.stderr
        report = await hubs(rig, config=config, probe="1-1.2", force=True, check=False)
        print(report.text, report.stderr.decode())
        assert report.rc == 0
        assert re.search(rf"1-1\.2  backend +{backend}\n", report.text)
        assert re.search(r"verdict +It works: the device lost its power and came back as ROM", report.text)
        assert (2, False) in cuts
        assert {port for port, _ in cuts} == {2}
        assert rig.head.powered == before
        state = "/tmp/probes" if config else "/var/lib/terrible"
        kept = json.loads(await rig.head.get(f"{state}/state.json"))["verdicts"]["1-1.2"]
        assert (kept["backend"], kept["works"], kept["cuts"]) == (backend, True, True)
        assert kept["lingering"] is (backend == "hub")
        assert kept["off_seconds"] < 3

    rig.run(story(), LIMIT + 60)


def test_a_hub_that_keeps_its_5_volts(rig: Rig) -> None:
    """The model of the node is not told of the cut: the hub disconnects it, and it runs on."""

    async def story() -> None:
        rig.hub.insert(2, Gadget())
        await rig.head.until(f"test -e {DEVICES}/1-1.2:1.0/net")
        rig.head.unwatch_power(rig.hub._switched)
        try:
            command = await hubs(rig, config=await configured(rig), probe="1-1.2", force=True, check=False)
        finally:
            rig.head._watchers.append(rig.hub._switched)  # not told of ports that are on: they run
        print(command.text, command.stderr.decode())
        assert command.rc == 1
        kept = json.loads(await rig.head.get("/tmp/probes/state.json"))["verdicts"]["1-1.2"]
        assert (kept["works"], kept["cuts"]) == (False, False)
        assert "its 5 V stay" in kept["sentence"]
        assert [other["backend"] for other in kept["others"]] == ["sysfs"]

    rig.run(story(), LIMIT + 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_probe_leaves_the_port_powered(rig: Rig, number: int) -> None:
    async def story() -> None:
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        off = asyncio.Event()
        note = lambda port, on: None if on else off.set()  # noqa: E731
        rig.head.watch_power(note)
        async with rig.head.spawn(["python3", "-c", HUBS, json.dumps({"probe": "1-1.2"})]) as process:
            await off.wait()
            await process.signal(number)
            await process.signal(number)
            assert await process.wait(60) == 130
        rig.head.unwatch_power(note)
        assert rig.head.powered[2]

    rig.run(story(), LIMIT + 60)


def test_a_port_that_somebody_switches_on_again(rig: Rig) -> None:
    """The kernel of this guest does not; so uhubctl does what older ones do."""
    again = "sleep 4; uhubctl -S -l 1-1 -p 2 -a on"

    async def story() -> None:
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        await rig.head.run(["rm", "-f", "/var/lib/terrible/state.json"])
        started: list[asyncio.Task[Result]] = []

        def note(port: int, on: bool) -> None:
            if not on and not started:
                started.append(asyncio.create_task(rig.head.run(["sh", "-c", again])))

        rig.head.watch_power(note)
        report = await hubs(rig, probe="1-1.2", check=False)
        rig.head.unwatch_power(note)
        print(report.text, report.stderr.decode())
        await started[0]
        kept = json.loads(await rig.head.get("/var/lib/terrible/state.json"))["verdicts"]["1-1.2"]
        assert (report.rc, kept["works"], kept["repowered"]) == (0, True, True)
        assert re.search(r"re-powered +by the kernel after [4-9]\.\d s", report.text)
        assert rig.head.powered[2]

    rig.run(story(), LIMIT + 60)


def test_what_is_no_pi_is_never_cut(rig: Rig) -> None:
    async def story() -> None:
        refused = await hubs(rig, probe="1-1", force=True, check=False)
        assert refused.rc == 1
        assert b"a device that is no Pi at 1-1" in refused.stderr or b"cannot switch" in refused.stderr

    rig.run(story(), LIMIT + 60)


class Rebooting:
    """A node that runs; once it has lost its power it starts over, in its boot ROM."""

    def __init__(self) -> None:
        self._gadget: Gadget | None = Gadget()

    async def power_on(self, plug: Plug) -> None:
        if self._gadget is not None:
            plug.attach(GADGET)
            self._gadget = None
            await asyncio.Event().wait()
        await Pi(timing=Timing(rom=0.1)).power_on(plug)

    async def answering(self, wanted: bool) -> None:
        await asyncio.Event().wait()
