"""`terrible hubs --probe` on a real kernel: what it reports is what happens."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from dataclasses import replace
from typing import Any

import pytest

from terrible.sim.families import FAMILIES, GADGET
from terrible.sim.pi import Pi, Plug, Timing
from tests.mqtt.brokers import Mosquitto

from .agent import Ear, agent
from .conftest import Rig
from .hubscommand import HUBS, LIMIT, configured, hubs
from .remote import Result
from .test_rig import DEVICES, Gadget

pytestmark = pytest.mark.rig


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


def test_an_agent_that_runs_finds_what_the_command_does(
    rig: Rig, files: dict[str, str], broker: Mosquitto
) -> None:
    """And serves what comes back."""

    async def story() -> None:
        rig.hub.insert(2, Rebooting())
        await rig.head.until(f"test -e {DEVICES}/1-1.2:1.0/net")
        cuts: list[int] = []
        note = lambda port, on: None if on else cuts.append(port)  # noqa: E731
        rig.head.watch_power(note)
        async with agent(rig, broker) as (process, ear):
            await ear.until_phase("up", "node2")
            refused = await answered(ear, "1", force=False)
            assert (refused["error"]["code"], cuts) == ("power_protected", [])
            done = await answered(ear, "2", force=True)
            assert (done["status"], set(cuts)) == ("done", {2})
            await ear.until_phase("up", "node2")
            assert ear.phases["node2"][-4:] == ["rom", "loading", "starting", "up"]
            await process.signal(signal.SIGTERM)
            assert await process.wait(10) == 0
        rig.head.unwatch_power(note)
        told = done["data"]["verdicts"]["node2"]
        assert told == (await remembered(rig))["1-1.2"]
        rig.hub.remove(2)
        rig.hub.insert(2, Rebooting())
        await rig.head.until(f"test -e {DEVICES}/1-1.2:1.0/net")
        await hubs(rig, config="/etc/terrible.toml", probe="1-1.2", force=True)
        found = (await remembered(rig))["1-1.2"]
        assert (told["works"], told["cuts"]) == (True, True)
        assert alike(told) == alike(found)

    rig.run(story(), LIMIT + 60)


async def answered(ear: Ear, number: str, *, force: bool) -> dict[str, Any]:
    """The last answer to a request to probe node2."""
    await ear.say("request/probe", json.dumps({"id": number, "slots": "node2", "force": force}))

    def last() -> dict[str, Any]:
        return dict(ear.last.get("response/probe", {}))

    await ear.until(lambda: last().get("id") == number and last()["status"] in ("done", "error"))
    return last()


async def remembered(rig: Rig) -> dict[str, dict[str, Any]]:
    return dict(json.loads(await rig.head.get("/var/lib/terrible/state.json"))["verdicts"])


def alike(verdict: dict[str, Any]) -> dict[str, Any]:
    """What two probes of one port must agree on: all but the times."""
    return {key: value for key, value in verdict.items() if key != "when" and not key.endswith("_seconds")}


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


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS if os.environ.get("LONG") == "1" else SIGNALS[:1])
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


@pytest.mark.long
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


@pytest.mark.long
def test_what_is_no_pi_is_never_cut(rig: Rig) -> None:
    async def story() -> None:
        rig.hub.insert(2, Stranger())
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        cuts: list[int] = []
        note = lambda port, on: None if on else cuts.append(port)  # noqa: E731
        rig.head.watch_power(note)
        refused = await hubs(rig, probe="1-1.2", force=True, check=False)
        rig.head.unwatch_power(note)
        assert refused.rc == 1
        assert b"a device that is no Pi at 1-1.2" in refused.stderr
        assert cuts == []

    rig.run(story(), LIMIT + 60)


class Stranger(Gadget):
    """Something with ids that no Pi has."""

    async def power_on(self, plug: Plug) -> None:
        plug.attach(replace(FAMILIES["2763"].rom, vendor=0x1234))
        await asyncio.Event().wait()


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
