"""What people, plugs and kernels do to the agent on a real USB stack; and that no node is lost by it."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest

from terrible.sim.pi import Pi
from tests.mqtt.brokers import Mosquitto

from .agent import BRISK, NODES, Ear, agent, four
from .conftest import Rig

pytestmark = pytest.mark.rig

ROUNDS = 120 if os.environ.get("LONG") else 6
"""Rounds of four boots, each with one power cut: 24 boots, 480 with --long."""


async def uhubctl(rig: Rig, port: int, action: str) -> None:
    await rig.head.run(["uhubctl", "-l", "1-1", "-p", str(port), "-a", action])


async def states(rig: Rig) -> dict[str, bool]:
    """Slot to power, as uhubctl sees it."""
    listing = (await rig.head.run(["uhubctl", "-l", "1-1"])).text
    lines = [line.split() for line in listing.splitlines() if line.strip().startswith("Port")]
    return {f"node{line[1].rstrip(':')}": "power" in line for line in lines}


async def until_loading(ear: Ear, name: str) -> None:
    await ear.until(lambda: f"node/{name}/progress" in ear.last or ear.phase(name) == "loading")


def test_power_cut_in_mid_transfer(rig: Rig, files: dict[str, str], broker: Mosquitto) -> None:
    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (_, ear):
            await until_loading(ear, "node2")
            await uhubctl(rig, 2, "off")
            await ear.until_phase("up", "node1", "node3", "node4")
            await uhubctl(rig, 2, "on")
            await ear.until_phase("up", *NODES)
            assert "failed" not in ear.phases["node2"]

    rig.run(story())


def test_a_hung_second_stage_is_cycled(rig: Rig, files: dict[str, str], broker: Mosquitto) -> None:
    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (_, ear):
            await until_loading(ear, "node4")
            rig.hub.hang(4)
            await ear.until_phase("up", *NODES)
            assert [boot["slot"] for boot in ear.boots if boot["outcome"] == "failed"] == ["node4"]

    rig.run(story())


def test_a_plug_is_pulled_and_put_back(rig: Rig, files: dict[str, str], broker: Mosquitto) -> None:
    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (_, ear):
            await until_loading(ear, "node1")
            rig.hub.remove(1)
            await ear.until_phase("up", *NODES[1:])
            rig.hub.insert(1, Pi(timing=BRISK))
            await ear.until_phase("up", *NODES)
            assert "failed" not in ear.phases["node1"]

    rig.run(story())


def test_a_killed_agent_is_restarted_over_running_and_booting_nodes(
    rig: Rig, files: dict[str, str], broker: Mosquitto
) -> None:
    async def story() -> None:
        four(rig)
        cuts: list[int] = []
        async with agent(rig, broker) as (process, ear):
            await ear.until_phase("up", "node1", "node2")
            rig.hub.insert(4, Pi(timing=BRISK))
            await until_loading(ear, "node4")
            await process.signal(signal.SIGKILL)
            await process.wait()
            running = {name for name in NODES if ear.phase(name) == "up"}
        rig.head.watch_power(lambda port, on: None if on else cuts.append(port))
        async with agent(rig, broker) as (_, ear):
            await ear.until_phase("up", *NODES)
        assert not {f"node{port}" for port in cuts} & running

    rig.run(story())


@pytest.mark.parametrize("phase", ["start", "rom", "loading", "starting", "up"])
def test_sigterm_in_any_stage_ends_cleanly(
    rig: Rig, files: dict[str, str], broker: Mosquitto, phase: str
) -> None:
    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (process, ear):
            await ear.until(lambda: "status" in ear.last and phase in ("start", *ear.phases.get("node2", [])))
            began = asyncio.get_running_loop().time()
            await process.signal(signal.SIGTERM)
            assert await process.wait(10) == 0, process.tail()
            assert asyncio.get_running_loop().time() - began < 5
            await ear.until(lambda: ear.last["status"] == "offline")
        left = (await rig.head.run(["sh", "-c", "cat /sys/bus/usb/devices/1-1.*/idVendor || true"])).text
        assert "0a5c" not in left, "a Pi waits for files and nobody serves it"

    rig.run(story())


def test_every_power_state_that_is_published_is_what_uhubctl_sees(
    rig: Rig, files: dict[str, str], broker: Mosquitto
) -> None:
    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (_, ear):
            await ear.until_phase("up", *NODES)
            for name, word, phase in (
                ("node2", "off", "off"),
                ("node4", "off", "off"),
                ("node2", "on", "up"),
            ):
                await ear.say(f"node/{name}/power/set", word)
                await ear.until_phase(phase, name)
                told = {node: ear.last[f"node/{node}/state"]["power"] is not False for node in NODES}
                assert told == await states(rig)

    rig.run(story())


def test_boots_with_random_power_cuts_lose_no_node(
    rig: Rig, files: dict[str, str], broker: Mosquitto
) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"seed {seed}, {ROUNDS} rounds of four boots")
    dice = random.Random(seed)

    async def one_round(ear: Ear) -> None:
        for port in (1, 2, 3, 4):
            rig.hub.insert(port, Pi(timing=BRISK))
        victim = dice.randint(1, 4)
        await asyncio.sleep(dice.uniform(0, 3))  # the random moment itself, not a wait for anything
        await uhubctl(rig, victim, "off")
        await uhubctl(rig, victim, "on")
        await ear.until_phase("up", *NODES, limit=90)

    async def story() -> None:
        four(rig)
        async with agent(rig, broker) as (_, ear):
            await ear.until_phase("up", *NODES)
            for _ in range(ROUNDS):
                await one_round(ear)

    rig.run(story(), limit=60 + 100 * ROUNDS)
