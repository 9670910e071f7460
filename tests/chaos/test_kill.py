"""The agent is killed at random moments, again and again, while its hub lives on in another process.

Whatever it was doing, the next one finds its way from what the ports show and from the wishes on disk:
no node that runs loses power, and all slots end as wished. SEED=n draws the same moments again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from terrible.model import Location, Slot
from terrible.sim.cluster import hub_locations
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi, Timing
from tests.chaos.simprocess import Host
from tests.chaos.trouble import ORDER
from tests.chaos.watch import Watched, describe, rests
from tests.cluster import boot_directory, make_slots

LONG = os.environ.get("LONG") == "1"
KILLS = 1_000 if LONG else 100
SPEED = 80.0
"""Simulated seconds in one of ours."""
LIFE = 0.15
"""Real seconds that an agent lives before and after something happens, at most: a boot."""
REST_EVERY = 50
"""After so many kills one agent is left alone until all slots rest."""
PATIENCE = 60.0
NODES = 3
FAULTS = (Kind.LOADER_SILENT, Kind.ROM_REJECTS, Kind.ROM_VANISHES, Kind.ROM_AGAIN, Kind.STALLS_AFTER_START)


@dataclass
class Nursery:
    """Forks agents, and kills them."""

    process: asyncio.subprocess.Process
    agent: int = 0

    async def start(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.agent = int(await self.process.stdout.readline())

    def kill(self) -> None:
        os.kill(self.agent, signal.SIGKILL)


@asynccontextmanager
async def nursery(*arguments: str) -> AsyncIterator[Nursery]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.chaos.agentprocess", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@dataclass
class Owner:
    """Asks for things, and remembers what is not settled: from the agent's state file, and what it is at."""

    host: Host
    state: Path
    dice: random.Random
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)
    count: int = 0

    def ask(self, action: str | None = None, slot: str | None = None) -> None:
        self.count += 1
        slot = slot or self.dice.choice(sorted(self.host.slots))
        action = action or self.dice.choice(["on", "off", "cycle", "boot", "release"])
        self.asked[str(self.count)] = (slot, action)
        verb = action if action in ("boot", "release") else "power"
        word = action if verb == "power" else ""
        self.host.ask({"verb": verb, "slots": slot, "action": word, "id": str(self.count)})

    def wished(self, location: Location) -> bool:
        off = json.loads(self.state.read_text())["off"] if self.state.exists() else []
        ended = {number for number, status in self.host.answers.items() if status in ("done", "error")}
        open_ones = {
            slot
            for number, (slot, action) in self.asked.items()
            if number not in ended and action in ("off", "cycle", "boot")
        }
        return any(slot in off or slot in open_ones for slot in self._at(location))

    def _at(self, location: Location) -> list[str]:
        return [name for name, slot in self.host.slots.items() if slot.location == location]

    def forget(self) -> None:
        """The agent is dead: what it had not finished, but for the wishes on disk, nobody will."""
        self.asked.clear()


def sick(dice: random.Random) -> Pi:
    faults = [Fault(kind, times=None, chance=0.15) for kind in FAULTS]
    return Pi(timing=Timing().scaled(SPEED), faults=faults, order=ORDER, chance=random.Random(dice.random()))


async def happen(dice: random.Random, cluster: Watched, owner: Owner) -> None:
    """Now and then something happens while the agent lives."""
    port = cluster.ports[dice.choice(sorted(cluster.ports))]
    match dice.choice(["nothing", "nothing", "nothing", "ask", "pull", "reboot", "reset"]):
        case "ask":
            owner.ask()
        case "pull":
            await port.stop()
            port.start()
        case "reboot" if port.pi is not None and port.pi.running:
            port.pi.tell("reboot")
        case "reset":
            await cluster.reset()


async def settled(host: Host) -> None:
    """Every slot is as wished, or says why it is not."""
    unsettled: list[Slot] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while unsettled := [slot for slot in host.slots.values() if not at_rest(host, slot)]:
                await asyncio.sleep(0.05)
    except TimeoutError:
        stuck = [describe(host.reports[slot.name], host.cluster.ports[slot.location]) for slot in unsettled]
        host.cluster.watch.broken.append(f"after {PATIENCE:g} s: {stuck}")


def at_rest(host: Host, slot: Slot) -> bool:
    report = host.reports.get(slot.name)
    return report is not None and rests(report, host.cluster.ports[slot.location])


async def life(dice: random.Random, host: Host, owner: Owner, agents: Nursery, rest: bool) -> int:
    """One agent, from its start to its death; returns how many nodes ran when it died."""
    host.reports.clear()
    host.attached.clear()
    await agents.start()
    await asyncio.sleep(dice.uniform(0.0, LIFE))
    await happen(dice, host.cluster, owner)
    await asyncio.sleep(dice.uniform(0.0, LIFE))
    if rest:
        await host.attached.wait()
        owner.ask("on", "all")
        await settled(host)
    agents.kill()
    owner.forget()
    host.cluster.watch.identity(host.slots.values())
    return sum(port.pi is not None and port.pi.running for port in host.cluster.ports.values())


async def story(seed: int, base: Path, directory: Path) -> tuple[Host, int]:
    dice = random.Random(seed)
    cluster = Watched({location: sick(dice) for location in hub_locations("1-1", NODES)})
    host = Host(cluster, make_slots(cluster.ports))
    state, path = directory / "state.json", directory / "hub"
    owner = Owner(host, state, dice)
    cluster.watch.wished = owner.wished
    server = await host.listen(path)
    async with server, nursery(str(path), str(base), str(state), str(NODES), str(SPEED)) as agents:
        ran = 0
        for number in range(1, KILLS + 1):
            ran += await life(dice, host, owner, agents, rest=number % REST_EVERY == 0)
            if cluster.watch.broken:
                break
    await cluster.close()
    return host, ran


def test_agents_that_are_killed_at_any_moment_leave_running_nodes_alone(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    base = boot_directory(tmp_path / "boot", kernel=150_000)
    (base / "start.elf").write_bytes(b"start" * 20_000)
    host, ran = asyncio.run(story(seed, base, tmp_path))
    cuts = sum(port.cuts for port in host.cluster.ports.values())
    print(f"seed {seed}: {KILLS} kills over {ran} running nodes, {host.sessions} agents, {cuts} power cuts")
    assert not host.cluster.watch.broken, f"SEED={seed}: {host.cluster.watch.broken}"
    assert host.sessions > KILLS / 2
    assert min(cuts, ran) > KILLS / 10, "nothing was at stake"
