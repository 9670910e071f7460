"""SIGKILL at random moments of set-up and tear-down: the next start converges, `down` leaves no trace."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

from . import snapshot
from .lab import Lab, address
from .program import Program

LONG = os.environ.get("LONG") == "1"
KILLS, SECONDS = (100, 3600.0) if LONG else (1000, 20.0)
"""As many as fit."""


def test_killed_at_any_moment(lab: Lab) -> None:
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    for slot, node in enumerate(lab.nodes, start=1):
        lab.plug(node, slot)
    network = Program(lab)
    before = snapshot.take(lab.head)
    longest = {what: undisturbed(network, what) for what in ("up", "down", "apply")}
    network.do("down")
    deadline, kills = time.monotonic() + SECONDS, 0
    while kills < KILLS and time.monotonic() < deadline:
        for _ in range(rng.choice((1, 1, 2, 3))):
            kill_once(network, rng, longest)
            kills += 1
        if rng.random() < 0.3:
            converges(network)
        network.down()
        snapshot.unchanged(lab.head, before, when=f"after {kills} kills")
    print(f"{kills} kills; undisturbed it takes {longest}")


def undisturbed(network: Program, what: str) -> float:
    """Seconds that it takes."""
    if what == "apply":
        network.serve()
    began = time.monotonic()
    network.up() if what == "up" else network.do(what)
    return time.monotonic() - began


def kill_once(network: Program, rng: random.Random, longest: dict[str, float]) -> None:
    """In the set-up, or after it in the tear-down, over whatever an earlier kill has left."""
    what = rng.choice(("up", "down", "down", "apply", "apply"))
    if what == "up":
        doing = network.head.spawn(*network.command("up"))
        moment(rng, longest["up"])
        doing.end(signal.SIGKILL)
        for pid in network.helpers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return
    helper = network.serve()
    if what == "down":
        network.do("apply")
    with network.connect() as asking:  # for an answer that nobody waits for
        asking.sendall(f'{{"v":1,"op":"{what}"}}\n'.encode())
        moment(rng, longest[what])
        helper.end(signal.SIGKILL)


def moment(rng: random.Random, longest: float) -> None:
    time.sleep(rng.uniform(0, longest * 1.2))  # it is not waited for anything: when is the point


def converges(network: Program) -> None:
    network.up()
    assert len(network.joined()) == len(network.lab.bridged()) == 4
    lease = network.lab.nodes[0].dhcp()
    assert lease is not None
    assert lease.address == address(1)
    assert network.lab.nodes[0].ping("203.0.113.1")
    assert len(network.dnsmasqs()) == 1
