"""What ends the writing of cards: power that goes at any of their bytes, a killed writer, a killed agent."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from .agent import NODES, Ear
from .card import SECTOR, Card
from .conftest import Rig
from .flashing import IMAGE, MB, Hold, answered, ask, dirty, flash, old, use
from .remote import Process

SIZE = len(IMAGE)
STAGES = (2 * SECTOR, SIZE - SECTOR, SIZE, 2 * SECTOR)
"""Bytes that pass in each: sector 0 zeroed and read, the rest written, all read, sector 0 put and read."""


async def power_cuts(rig: Rig, ear: Ear, made: dict[int, Card], dice: random.Random, number: str) -> None:
    """Each of the four in another stage. None is ever told whole, and none boots from what is not."""
    planned = _moments(dice)
    async with asyncio.TaskGroup() as cuts:
        for port, moment in planned.items():
            use(made[port], port)
            made[port].after(moment, partial(_power_goes, rig, cuts, port))
        answer = await flash(ear, "node[1-4]", number)
    codes = {name: why["code"] for name, why in answer["data"]["failed"].items()}
    assert codes == dict.fromkeys(NODES, "dirty_card")
    await dirty(rig, ear, 1, 2, 3, 4)
    for port, moment in planned.items():
        card, where = made[port], f"node{port} cut after {moment} bytes, round {number}"
        assert card.written == _written_by(moment), where
        content = card.read(0, SIZE)
        untouched = content == old(port) * (SIZE // MB)
        assert content == IMAGE or not any(content[:SECTOR]) or untouched, f"bootable and not whole: {where}"


def _moments(dice: random.Random) -> dict[int, int]:
    """By port, the bytes that pass before its power goes: each stage once."""
    ports = dice.sample((1, 2, 3, 4), 4)
    return {port: sum(STAGES[:stage]) + dice.randrange(STAGES[stage]) for stage, port in enumerate(ports)}


def _written_by(moment: int) -> int:
    """Bytes that a card has got by then, in whole sectors."""
    last = moment - sum(STAGES[:3])
    got = [min(moment, SECTOR), min(max(moment - STAGES[0], 0), STAGES[1]), min(max(last, 0), SECTOR)]
    return sum(count - count % SECTOR for count in got)


async def _power_goes(rig: Rig, cuts: asyncio.TaskGroup, port: int) -> None:
    """The device is dead at once; the hub's switch, which takes longer, makes the kernel notice."""
    rig.hub.hang(port)
    cuts.create_task(rig.head.run(["uhubctl", "-l", "1-1", "-p", str(port), "-a", "off"]))
    await asyncio.Event().wait()


async def kills(rig: Rig, process: Process, ear: Ear, made: dict[int, Card]) -> None:
    """Of two writers one is killed: the other goes on, until the agent is killed and it ends with it."""
    holds = {port: Hold() for port in (1, 2, 3)}
    for port, hold in holds.items():
        use(made[port], port)
        made[port].after(2 * MB, hold)
    await ask(ear, "node[1-2]", "two")
    await ask(ear, "node3", "one")
    await asyncio.gather(*(hold.reached.wait() for hold in holds.values()))
    writers = await _writers(rig, process)
    await _kill(rig, writers[2])
    holds[1].over.set()
    holds[2].over.set()
    assert set((await answered(ear, "two"))["data"]["failed"]) == {"node1", "node2"}
    await dirty(rig, ear, 1, 2)
    later = Hold()
    made[3].after(MB, later)
    holds[3].over.set()
    await later.reached.wait()
    assert (process.rc, ear.phase("node3")) == (None, "flashing")
    await _kill(rig, process.pid)
    later.over.set()
    await rig.head.until(f"! test -e /proc/{writers[1]}")
    await process.wait()
    assert made[3].written < 4 * MB, "it stopped"
    for port in holds:
        assert made[port].read(0, SECTOR) == bytes(SECTOR)


async def _writers(rig: Rig, process: Process) -> dict[int, int]:
    """The process ids of the agent's writers by how many cards they have."""
    listed = f"""
        for p in $(cat /proc/{process.pid}/task/*/children); do
            if grep -q worker /proc/$p/cmdline; then
                echo $(stat -L -c %F /proc/$p/fd/* | grep -c block) $p
            fi
        done"""
    lines = (await rig.head.run(["sh", "-c", listed])).text.splitlines()
    return {int(cards): int(pid) for cards, pid in map(str.split, lines)}


async def _kill(rig: Rig, pid: int) -> None:
    """This process alone, not its group."""
    await rig.head.run(["kill", "-9", str(pid)])
