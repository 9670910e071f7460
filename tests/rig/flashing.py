"""Cards in the rig's Pis, an image in the guest, and requests to write it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from terrible.sim.files import write_mass_storage
from tests.storage.contents import sector0

from .agent import Ear
from .card import Card
from .conftest import Rig

MB = 1 << 20
SIZE = 1024 * MB
"""Bytes of a card: as little as lock 4 takes for one."""
FILES = """
mass_storage = "/mass-storage"
images = "/images"
"""
NAME = "small.img"


def image(seed: int) -> bytes:
    """Eight megabytes of a card: a partition table, noise, a hole, and noise again."""
    noise = random.Random(seed)
    return sector0(8 * MB) + noise.randbytes(3 * MB - 512) + bytes(2 * MB) + noise.randbytes(3 * MB)


IMAGE = image(6)


def old(port: int) -> bytes:
    """A megabyte of what a used card holds from before."""
    return bytes([port]) * MB


@asynccontextmanager
async def cards(rig: Rig, tmp_path: Path) -> AsyncIterator[dict[int, Card]]:
    """A used card in each Pi, the firmware that shows it, and an image to write."""
    firmware = tmp_path / "mass-storage"
    write_mass_storage(firmware)
    for path in firmware.iterdir():
        await rig.head.put(f"/mass-storage/{path.name}", path.read_bytes())
    await rig.head.put(f"/images/{NAME}", IMAGE)
    made = {port: Card(SIZE) for port in (1, 2, 3, 4)}
    for port, card in made.items():
        use(card, port)
        rig.hub.peers[port].card = card
    try:
        yield made
    finally:
        for port, card in made.items():
            rig.hub.remove(port)
            rig.hub.peers[port].card = None
            card.close()


def use(card: Card, port: int) -> None:
    """Old content where an image comes to lie, beyond it, and at the end."""
    for number in (*range(16), SIZE // MB - 1):
        card.write(number * MB, old(port))
    card.written = 0


async def ask(ear: Ear, slots: str, number: str, image: str = NAME) -> None:
    """A new request."""
    await ear.say("request/flash", json.dumps({"id": number, "slots": slots, "image": image}))


async def answered(ear: Ear, number: str, limit: float = 200) -> dict[str, Any]:
    """Its last answer."""

    def last() -> list[dict[str, Any]]:
        return [said for said in ear.answers if said["id"] == number and said["status"] in ("done", "error")]

    await ear.until(lambda: bool(last()), limit)
    return last()[0]


async def flash(ear: Ear, slots: str, number: str, image: str = NAME) -> dict[str, Any]:
    """The last answer to a new request."""
    await ask(ear, slots, number, image)
    return await answered(ear, number)


async def dirty(rig: Rig, ear: Ear, *ports: int, since: str = "flashing") -> None:
    """Return once these are told dirty and off, and see that nobody has booted them since."""
    for port in ports:
        name = f"node{port}"
        await ear.until_phase("off", name)
        phases = ear.phases[name]
        assert phases[len(phases) - phases[::-1].index(since) :] == ["off"], phases
        state = ear.last[f"node/{name}/state"]
        assert (state["problem"]["code"], state["wish"]) == ("dirty_card", "on"), state
        assert not rig.head.powered[port]


class Hold:
    """What a card waits for in the middle of being written: `after(..., hold)`."""

    def __init__(self) -> None:
        self.reached, self.over = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.over.wait()
