"""The agent SIGKILLed while it starts, while nodes join, while it stops: the next goes on, `down` leaves no
trace. It is `terrible run` as root, with the helpers that it starts itself; no broker answers it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

from . import snapshot
from .lab import Lab, address
from .node import Node
from .process import Process, together, until
from .program import TERRIBLE, Program

LONG = os.environ.get("LONG") == "1"
KILLS, SECONDS = (100, 3600.0) if LONG else (1000, 25.0)
"""As many as fit."""
STOPS = 30 if LONG else 8
CONVERGED = 15.0
"""Seconds: a start that comes while the helper of the one before takes its network down waits for that."""
TABLES = ["table bridge terrible", "table inet terrible"]


class Agents:
    """One agent after the other on the same head, and how long it takes undisturbed."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.head, self.network = lab, lab.head, Program(lab)
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
        print(f"SEED={self.seed}")
        self.rng = random.Random(self.seed)
        self.head.file("/sys/bus/usb/devices/usb1").mkdir()  # a controller, with nothing that libusb sees
        self.head.file("/run/terrible/lock").touch()  # stays for ever, and is not the network's
        self.slowest = 0.0
        agent = self.up()
        self.start = self.slowest
        began = time.monotonic()
        assert agent.end() == 0, agent.said()
        self.stop = time.monotonic() - began

    def run(self) -> Process:
        return self.head.spawn(*TERRIBLE, "run", "--config", self.network.config)

    def up(self) -> Process:
        """An agent that has its network up, with the nodes that are plugged in."""
        began = time.monotonic()
        agent = self.run()
        until(lambda: "no broker" in agent.said(), CONVERGED, why="the agent is done with setting up")
        until(self.is_up, CONVERGED, why="the network is up")
        self.slowest = max(self.slowest, time.monotonic() - began)
        return agent

    def is_up(self) -> bool:
        plugged = set(self.lab.plugged)
        try:
            joined = {f"node{slot}" for slot in self.network.joined()}
        except (OSError, ValueError):
            return False
        return joined == plugged and len(self.lab.bridged()) == len(plugged) and self.network.dnsmasqs() != []

    def moment(self, longest: float) -> None:
        time.sleep(self.rng.uniform(0, longest * 1.2))  # it is not waited for anything: when is the point

    def kill(self, agent: Process) -> None:
        """Mostly the agent alone, and what it has started is left to itself."""
        agent.end(signal.SIGKILL)
        for pid in self.network.helpers() if self.rng.random() < 0.4 else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def plug(self, nodes: list[Node]) -> None:
        for node in nodes:
            self.lab.plug(node, int(node.label.removeprefix("node")))

    def ports_are_given_back(self) -> None:
        """The helper of port power ends with the agent; its socket may stay, and is not the network's."""
        until(lambda: not self.head.called(r"terrible\.power"), why="the helper of port power has ended")
        self.head.file("/run/terrible/port.sock").unlink(missing_ok=True)


def test_killed_at_any_moment(lab: Lab) -> None:
    agents = Agents(lab)
    deadline, kills = time.monotonic() + SECONDS, 0
    while kills < KILLS and time.monotonic() < deadline:
        there = agents.rng.sample(lab.nodes, agents.rng.randint(0, len(lab.nodes)))
        agents.plug(there)
        before = snapshot.take(lab.head)
        for _ in range(agents.rng.choice((1, 1, 2, 3))):
            agents.rng.choice((while_it_starts, while_nodes_join, while_it_stops))(agents)
            kills += 1
        if agents.rng.random() < 0.6:
            converges(agents)
        agents.network.down()
        agents.ports_are_given_back()
        for node in lab.nodes:
            if node.label in lab.plugged and node not in there:
                lab.unplug(node)
        snapshot.unchanged(lab.head, before, when=f"after {kills} kills")
        for node in there:
            lab.unplug(node)
    print(f"{kills} kills; it starts in {agents.start:.2f} s, after kills in {agents.slowest:.2f} s at most")


def while_it_starts(agents: Agents) -> None:
    agent = agents.run()
    agents.moment(agents.start)
    agents.kill(agent)


def while_nodes_join(agents: Agents) -> None:
    agent = agents.run()
    away = [node for node in agents.lab.nodes if node.label not in agents.lab.plugged]
    arriving = agents.rng.sample(away, agents.rng.randint(0, len(away)))
    for node in arriving:
        agents.moment(agents.start / len(arriving))
        agents.plug([node])
    agents.moment(agents.start / 5)
    agents.kill(agent)


def while_it_stops(agents: Agents) -> None:
    agent = agents.run()
    agents.moment(agents.start * 2)
    os.kill(agent.pid, signal.SIGTERM)
    agents.moment(agents.stop)
    agents.kill(agent)


def servers_parents(network: Program) -> list[int]:
    """Whose children serve addresses; a helper's forks bear its command line for a moment."""
    found = []
    for pid in network.dnsmasqs():
        with contextlib.suppress(OSError):
            found.append(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
    return found


def converges(agents: Agents) -> None:
    """Over whatever was left: all nodes at their slots' addresses, and of all that serves them one."""
    lab, network = agents.lab, agents.network
    agents.plug([node for node in lab.nodes if node.label not in lab.plugged])
    agent = agents.up()
    leases = together(node.dhcp for node in lab.nodes)
    assert [lease and lease.address for lease in leases] == [address(slot) for slot in (1, 2, 3, 4)]
    until(lambda: network.helpers() == servers_parents(network), why="one helper, and its dnsmasq alone")
    until(lambda: network.standing()["problem"] == "", why="nothing is wrong")
    assert sorted(lab.head.run("nft", "list", "tables").splitlines()) == TABLES
    if agents.rng.random() < 0.5:
        agents.kill(agent)
    else:
        assert agent.end(signal.SIGTERM) == 0, agent.said()
    assert "Traceback" not in agent.said()


def test_stopped_at_any_moment_of_its_start_it_leaves_nothing(lab: Lab) -> None:
    agents = Agents(lab)
    agents.plug(lab.nodes)
    before = snapshot.take(lab.head)
    for _ in range(STOPS):
        agent = agents.run()
        until(lambda: lab.head.called(r"terrible net-helper"), why="it has begun")
        agents.moment(agents.start / 2)
        code = agent.end(signal.SIGTERM, limit=30)
        assert code == 0, agent.said()
        snapshot.unchanged(lab.head, before, when=agent.said())


def test_what_cannot_be_taken_down_does_not_keep_it_from_ending(lab: Lab) -> None:
    agents = Agents(lab)
    before = snapshot.take(lab.head)
    agent = agents.up()
    lab.head.run("busybox", "mount", "-o", "remount,ro", "/etc")
    assert agent.end(signal.SIGTERM, limit=30) == 0
    assert "not all of the network is down: " in agent.said()
    assert "/etc/hosts" in agent.said()
    assert not agents.network.helpers()
    lab.head.run("busybox", "mount", "-o", "remount,rw", "/etc")
    agents.network.down()
    snapshot.unchanged(lab.head, before)
