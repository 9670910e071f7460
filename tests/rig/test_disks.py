"""`terrible-disk` on a real kernel: cards behind the real hub, opened by slot, and nothing else there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from terrible.sim.families import DISK

from .card import Card
from .conftest import Rig
from .test_rig import DEVICES, Gadget

pytestmark = pytest.mark.rig

SIZE = 2 << 30
CONFIG = b'hub = "1-1"\nports = 3\n'
ASK = """
import asyncio, mmap, os, sys
from pathlib import Path
from terrible.errors import DiskError
from terrible.storage.client import start_own

async def ask(disks, slot):
    try:
        with await disks.open(slot) as card, mmap.mmap(-1, 512) as block:
            assert os.preadv(card.fd, [block], 0) == 512
            print(slot, card.seen.location, card.seen.size, block[:6].decode())
            await disks.open(slot)
    except DiskError as error:
        print(slot, error)

async def main():
    async with start_own(Path("/etc/disks.toml"), Path("/run/disks.sock")) as disks:
        for slot in sys.argv[1:]:
            await ask(disks, slot)

asyncio.run(main())
"""


@contextmanager
def cards(rig: Rig, *ports: int) -> Iterator[None]:
    """A card in each Pi, which says where it is in its first bytes."""
    made = {port: Card(SIZE) for port in ports}
    for port, card in made.items():
        card.write(0, f"card {port}".encode())
        rig.hub.peers[port].card = card
    try:
        yield
    finally:
        for port, card in made.items():
            rig.hub.remove(port)
            rig.hub.peers[port].card = None
            card.close()


async def appear(rig: Rig, *ports: int) -> None:
    """Return once the kernel has asked each card how large it is: before that there is no medium."""
    for port in ports:
        await rig.head.until(f"grep -qv '^0$' {DEVICES}/1-1.{port}:1.0/host*/target*/*/block/*/size")


async def asked(rig: Rig, *slots: str) -> list[str]:
    await rig.head.put("/etc/disks.toml", CONFIG)
    return (await rig.head.run(["python3", "-c", ASK, *slots])).text.splitlines()


def test_each_slot_s_card_is_opened_and_no_other_disk(rig: Rig) -> None:
    async def story() -> None:
        with cards(rig, 1, 2, 3, 4):
            for port in (1, 2, 4):
                rig.hub.insert(port, Gadget(DISK))
            rig.hub.insert(3, Gadget(replace(DISK, vendor=0x0781, product=0x5581)))
            await appear(rig, 1, 2, 3, 4)
            first, second, stick = [await name(rig, port) for port in (1, 2, 3)]
            assert await asked(rig, "node2", "node1", "node3", "node4") == [
                f"node2 1-1.2 {SIZE} card 2",
                f"node2 lock 5: somebody else has {second} or a partition of it",
                f"node1 1-1.1 {SIZE} card 1",
                f"node1 lock 5: somebody else has {first} or a partition of it",
                f"node3 lock 2: {stick} is 0781:5581 and not the card of a Pi in mass-storage mode",
                "node4 'node4' is not the name of a slot in /etc/disks.toml",
            ]

    rig.run(story())


def test_a_card_that_the_head_swaps_to_is_not_opened(rig: Rig) -> None:
    async def story() -> None:
        with cards(rig, 2):
            rig.hub.insert(2, Gadget(DISK))
            await appear(rig, 2)
            disk = await name(rig, 2)
            await rig.head.run(["sh", "-c", f"mkswap /dev/{disk} && swapon /dev/{disk}"])
            assert await asked(rig, "node2") == [f"node2 lock 4: {disk} is in use: swap is on {disk}"]
            await rig.head.run(["swapoff", f"/dev/{disk}"])
            assert (await asked(rig, "node2"))[0].startswith(f"node2 1-1.2 {SIZE}")

    rig.run(story())


async def name(rig: Rig, port: int) -> str:
    """What the kernel calls the disk there now."""
    listed = f"ls {DEVICES}/1-1.{port}:1.0/host*/target*/*/block"
    return (await rig.head.run(["sh", "-c", listed])).text.strip()
