"""Four cards behind the real hub get one image, by the unmodified agent and its root helpers."""

from __future__ import annotations

import asyncio
import json
import os
import random
from functools import partial
from pathlib import Path

import pytest

from terrible.sim.pi import Pi
from tests.mqtt.brokers import Mosquitto
from tests.storage.contents import bmap

from .agent import BRISK, CONFIG, HUB, NODES, Ear, agent, four
from .card import Card
from .conftest import Rig
from .ends import kills, power_cuts
from .flashing import FILES, IMAGE, MB, SIZE, answered, ask, cards, dirty, flash, image, old, use

pytestmark = [pytest.mark.rig, pytest.mark.usefixtures("files")]

ROUNDS = 50 if os.environ.get("LONG") else 1
"""Of four power cuts: 4 cuts, 200 with --long."""
DIRTY = {"v": 1, "off": [], "latches": dict.fromkeys(NODES, "dirty_card")}
SPARSE = image(7) + bytes(4 * MB) + IMAGE[-MB:]
MAPPED = [(0, SPARSE[: 3 * MB]), (5 * MB, SPARSE[5 * MB : 8 * MB]), (12 * MB, SPARSE[12 * MB :])]
"""What its bmap names, with the byte it begins at."""
REST = [(512, SPARSE[512 : 3 * MB]), *MAPPED[1:]]
UNMAPPED = [3, 4, 8, 11, 13, 15, SIZE // MB - 1]
"""Megabytes of a card beside what is mapped, three of them beyond the image."""
LARGE = SIZE + 512
"""Bytes of an image that no card here has room for."""


async def images(rig: Rig) -> None:
    """One with a bmap, one that is too large."""
    await rig.head.put("/images/sparse.img", SPARSE)
    await rig.head.put("/images/sparse.bmap", bmap(SPARSE, [(0, 767), (1280, 2047), (3072, 3327)]))
    await rig.head.run(["cp", "/images/small.img", "/images/large.img"])
    await rig.head.run(["truncate", "-s", str(LARGE), "/images/large.img"])


def holds_all(card: Card) -> bool:
    return card.read(0, 512) == SPARSE[:512] and holds_the_rest(card)


def holds_the_rest(card: Card) -> bool:
    """All but sector 0."""
    return all(card.read(start, len(data)) == data for start, data in REST)


def beside(card: Card) -> list[bytes]:
    return [card.read(number * MB, MB) for number in UNMAPPED]


def watch(card: Card, bootable: list[int]) -> None:
    """Note where it was written while a boot ROM would find on it, or was about to, what is not whole."""

    def look(write: bool, offset: int) -> bool:
        if write and card.written and (any(card.read(0, 512)) or not (offset or holds_the_rest(card))):
            bootable.append(offset)
        return False

    card.refuses = look


async def still_dirty(rig: Rig, ear: Ear, session: str) -> None:
    """Whatever has ended that agent, the next one says so of all four and gives them no power."""

    def told(name: str) -> bool:
        state = ear.last.get(f"node/{name}/state") or {"session": session}
        return bool(state["session"] != session and state["phase"] == "off")

    await ear.until(lambda: all(told(name) for name in NODES))
    codes = [ear.last[f"node/{name}/state"]["problem"]["code"] for name in NODES]
    assert codes == ["dirty_card"] * 4
    assert not any(rig.head.powered.values())


async def all_at_once(ear: Ear, made: dict[int, Card]) -> None:
    """Half written or blank, each holds every range of the image, and beside them what was there before."""
    bootable: list[int] = []
    for port in (1, 4):
        made[port].wipe()
    before = {port: beside(card) for port, card in made.items()}
    for card in made.values():
        card.written = 0
        watch(card, bootable)
    assert (await flash(ear, "node[1-4]", "all", "sparse.img"))["status"] == "done"
    for port, card in made.items():
        assert holds_all(card), port
        assert beside(card) == before[port], port
        assert card.written == sum(len(data) for _, data in MAPPED) + 512, "and sector 0 once more"
    assert bootable == []
    await ear.until_phase("up", *NODES)


async def each_fails_alone(rig: Rig, ear: Ear, made: dict[int, Card]) -> None:
    """One is pulled, one cannot be read back, one is too small, one gets its image."""
    for port, card in made.items():
        use(card, port)
    made[1].after(2 * MB, partial(pulled, rig, 1))
    made[2].refuses = lambda write, offset: not write and 6 * MB <= offset < 7 * MB
    await ask(ear, "node3", "large", "large.img")
    answer = await flash(ear, "node1,node2,node4", "three", "sparse.img")
    failed = {name: (why["code"], why["message"]) for name, why in answer["data"]["failed"].items()}
    assert failed.keys() == {"node1", "node2"}
    assert failed["node1"][0] == "dirty_card"
    place = f"the card could not be read back at byte {6 * MB} (6.3 MB): Input/output error"
    assert failed["node2"] == ("dirty_card", place)
    error = (await answered(ear, "large"))["error"]
    why = f"node3: the card is too small: {SIZE} bytes for an image of {LARGE}"
    assert error == {"code": "not_flashed", "message": why}
    assert (made[3].written, made[3].read(0, MB)) == (0, old(3)), "not touched"
    await ear.until_phase("up", "node3", "node4")
    assert holds_all(made[4])
    rig.hub.insert(1, Pi(timing=BRISK))
    await dirty(rig, ear, 1, 2)
    assert made[1].read(0, 512) == made[2].read(0, 512) == bytes(512), "no boot ROM finds a partition on them"


async def pulled(rig: Rig, port: int) -> None:
    rig.hub.remove(port)
    await asyncio.Event().wait()


def test_cards_are_whole_or_their_slots_stay_off_until_they_are_mended(
    rig: Rig, broker: Mosquitto, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"seed {seed}, {ROUNDS} rounds of four power cuts")

    async def story() -> None:
        await rig.head.put("/var/lib/terrible/state.json", json.dumps(DIRTY).encode())
        async with cards(rig, tmp_path) as made:
            await images(rig)
            four(rig)
            async with agent(rig, broker, files=FILES) as (process, ear):
                await ear.until_phase("off", *NODES)
                for number in range(ROUNDS):
                    await power_cuts(rig, ear, made, random.Random(seed + number), str(number))
                await kills(rig, process, ear, made)
                session = ear.last["node/node3/state"]["session"]
            async with agent(rig, broker, files=FILES) as (_, ear):
                await still_dirty(rig, ear, session)
                await all_at_once(ear, made)
                await each_fails_alone(rig, ear, made)

    rig.run(story(), 400 + 60 * ROUNDS)


def test_without_an_agent_and_from_standard_input_one_card_that_fails_stops_no_other(
    rig: Rig, broker: Mosquitto, tmp_path: Path
) -> None:
    async def story() -> None:
        async with cards(rig, tmp_path) as made:
            four(rig)
            config = CONFIG.format(port=broker.port, slots=HUB, network="false", files=FILES)
            await rig.head.put("/etc/terrible.toml", config.encode(), 0o644)
            made[2].refuses = lambda write, offset: write and offset >= 6 * MB
            flash = "python3 -m terrible flash - node[2-4] --direct --config /etc/terrible.toml"
            told = await rig.head.run(["sh", "-c", f"cat /images/small.img | {flash}"], check=False)
            assert (told.rc, told.text.splitlines()[-1]) == (1, "flash done: node3, node4"), told
            place = f"node2: the card could not be written at byte {6 * MB} (6.3 MB): Input/output error"
            assert place in told.stderr.decode()
            held = [made[port].read(0, len(IMAGE)) == IMAGE for port in made]
            assert held == [False, False, True, True]
            assert made[2].read(0, 512) == bytes(512), "no boot ROM finds a partition on it"
            assert made[1].written == 0, "nobody else's card was touched"

    rig.run(story(), 400)


@pytest.mark.long
def test_firmware_that_hangs_is_given_up_and_its_port_s_power_ends_the_kernel_s_own_tries(
    rig: Rig, broker: Mosquitto, tmp_path: Path
) -> None:
    """Five minutes. The kernel alone would try each command six times, and a piece of ours is several."""

    async def story() -> None:
        async with cards(rig, tmp_path) as made:
            take = made[1].take

            async def hang(offset: int, data: bytes) -> None:
                if offset >= 2 * MB:
                    await asyncio.Event().wait()
                await take(offset, data)

            made[1].take = hang  # type: ignore[method-assign]
            four(rig)
            async with agent(rig, broker, files=FILES) as (_, ear):
                await ear.until_phase("up", *NODES)
                await ask(ear, "node[1-2]", "hang")
                failed = (await answered(ear, "hang", 400))["data"]["failed"]
                why = {"code": "dirty_card", "message": "the card has not answered for 300 s"}
                assert failed == {"node1": why}
                await dirty(rig, ear, 1)
                await ear.until_phase("up", "node2", "node3", "node4")
                gone = "grep -lz storage[.]writing /proc/[0-9]*/cmdline; test $? -eq 1"
                loop = f"for n in $(seq 30); do {gone} && exit; sleep 1; done; exit 1"
                await rig.head.run(["sh", "-c", loop])

    rig.run(story(), 700)
