"""Four cards behind the real hub get one image, by the unmodified agent and its root helpers."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from terrible.sim.files import write_mass_storage
from tests.mqtt.brokers import Mosquitto

from .agent import CONFIG, HUB, NODES, Ear, agent, four
from .conftest import Rig
from .storage import Card

pytestmark = [pytest.mark.rig, pytest.mark.usefixtures("files")]

SIZE = 1 << 30
FLASH = """
mass_storage = "/mass-storage"
images = "/images"
"""


def image() -> bytes:
    """Eight megabytes of a card: a partition table, noise, a hole, and noise again."""
    noise = random.Random(6)
    table = bytearray(512)
    table[446:462] = (
        bytes([0, 0, 0, 0, 0x0C, 0, 0, 0]) + (2048).to_bytes(4, "little") + (12288).to_bytes(4, "little")
    )
    table[510:] = b"\x55\xaa"
    return bytes(table) + noise.randbytes((3 << 20) - 512) + bytes(2 << 20) + noise.randbytes(3 << 20)


@asynccontextmanager
async def cards(rig: Rig, tmp_path: Path) -> AsyncIterator[dict[int, Card]]:
    """A used card in each Pi, the firmware that shows it, and an image to write."""
    firmware = tmp_path / "mass-storage"
    write_mass_storage(firmware)
    for path in firmware.iterdir():
        await rig.head.put(f"/mass-storage/{path.name}", path.read_bytes())
    await rig.head.put("/images/small.img", image())
    made = {port: Card(SIZE) for port in (1, 2, 3, 4)}
    for port, card in made.items():
        for offset in range(0, 16 << 20, 1 << 20):
            card.write(offset, bytes([port]) * (1 << 20))
        rig.hub.peers[port].card = card
    try:
        yield made
    finally:
        for port, card in made.items():
            rig.hub.remove(port)
            rig.hub.peers[port].card = None
            card.close()


async def flash(ear: Ear, slots: str, number: str) -> dict[str, Any]:
    """The last answer to a new request."""
    await ear.say("request/flash", json.dumps({"id": number, "slots": slots, "image": "small.img"}))

    def last() -> dict[str, Any]:
        said: dict[str, Any] = ear.last.get("response/flash") or {}
        return said

    await ear.until(lambda: last().get("id") == number and last()["status"] in ("done", "error"), 200)
    return last()


def test_cards_are_written_side_by_side_and_one_that_fails_is_dirty_and_alone(
    rig: Rig, broker: Mosquitto, tmp_path: Path
) -> None:
    async def story() -> None:
        async with cards(rig, tmp_path) as made, agent(rig, broker, files=FLASH) as (_, ear):
            four(rig)
            await ear.until_phase("up", *NODES)
            made[3].refuses = lambda write, offset: write and offset >= 6 << 20
            answer = await flash(ear, "node[2-4]", "1")
            assert (answer["status"], set(answer["data"]["failed"])) == ("error", {"node3"})
            assert answer["error"]["code"] == "dirty_card"
            await ear.until_phase("up", "node2", "node4")
            await ear.until_phase("off", "node3")
            assert [made[port].read(0, len(image())) == image() for port in made] == [
                False,
                True,
                False,
                True,
            ]
            assert made[3].read(0, 512) == bytes(512), "no boot ROM finds a partition on it"
            assert made[1].read(0, 1 << 20) == bytes([1]) * (1 << 20), "nobody else's card was touched"
            for name in ("node2", "node4"):
                phases = ear.phases[name]
                assert phases[phases.index("flashing") - 1] == "starting"

    rig.run(story(), 400)


def test_without_an_agent_and_from_standard_input(rig: Rig, broker: Mosquitto, tmp_path: Path) -> None:
    async def story() -> None:
        async with cards(rig, tmp_path) as made:
            four(rig)
            config = CONFIG.format(port=broker.port, slots=HUB, network="false", files=FLASH)
            await rig.head.put("/etc/terrible.toml", config.encode(), 0o644)
            flash = "python3 -m terrible flash - node[3-4] --direct --config /etc/terrible.toml"
            told = await rig.head.run(["sh", "-c", f"cat /images/small.img | {flash}"])
            assert told.text.splitlines()[-1] == "flash done: node3, node4", told
            assert [made[port].read(0, len(image())) == image() for port in made] == [
                False,
                False,
                True,
                True,
            ]

    rig.run(story(), 400)
