"""Up is what answers, lost is what no longer does: the agent's side, on real links and real nodes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .lab import address
from .process import Process, until
from .program import SOCKET, Program

UP = f"up ('{address(1)}',)"


@contextmanager
def agent(network: Program, port: int = 0) -> Iterator[Process]:
    """The agent's side for slot 1, once it knows of the network."""
    process = network.head.spawn(sys.executable, "-m", "tests.netns.reaching", SOCKET, "1", str(port))
    until(lambda: told(process, "news"), limit=10, why="the agent has heard of the network")
    yield process
    process.end()


def told(process: Process, *words: str) -> list[str]:
    """What it said, or the lines that begin like this."""
    lines = process.said().splitlines()
    return [line for line in lines if line.startswith(words)] if words else lines


def steps(process: Process) -> list[str]:
    return [line for line in told(process) if not line.startswith("news")]


def test_step_by_step_to_up_then_lost_then_up_again(network: Program) -> None:
    node = network.lab.nodes[0]
    with agent(network) as process:
        network.lab.plug(node, 1)
        until(lambda: told(process, "carrier"), why="it is on the bridge and has a carrier")
        assert steps(process) == ["carrier"], "without an address it is not up"
        assert node.dhcp() is not None
        until(lambda: told(process, "up"), why="it is up")
        assert steps(process) == ["carrier", "address", "ping", UP]
        node.ip("link", "set", "usb0", "down")
        until(lambda: told(process, "lost"), limit=10, why="it is lost")
        node.ip("link", "set", "usb0", "up")
        until(lambda: len(told(process, "up")) == 2, limit=10, why="it is up again")


def test_a_node_with_a_fixed_address_is_up_without_a_lease(network: Program) -> None:
    node = network.lab.nodes[0]
    with agent(network) as process:
        network.lab.plug(node, 1)
        node.ip("address", "add", f"{address(1)}/24", "dev", "usb0")
        until(lambda: told(process, "up"), limit=10, why="it is up")


def test_a_node_that_answers_no_ping_is_up_if_it_refuses_a_connection(network: Program) -> None:
    node = network.lab.nodes[0]
    node.sysctl("ipv4/icmp_echo_ignore_all", 1)
    try:
        with agent(network) as process:
            network.lab.plug(node, 1)
            assert node.dhcp() is not None
            until(lambda: told(process, "up"), limit=10, why="it is up")
    finally:
        node.sysctl("ipv4/icmp_echo_ignore_all", 0)


def test_with_a_port_it_is_up_once_its_service_says_something(network: Program) -> None:
    node = network.lab.nodes[0]
    with agent(network, port=22) as process:
        network.lab.plug(node, 1)
        assert node.dhcp() is not None
        until(lambda: told(process, "ping"), why="it answers")
        assert not told(process, "up")
        service = node.spawn("busybox", "nc", "-ll", "-p", "22", "-e", "echo", "SSH-2.0-OpenSSH_9.2")
        until(lambda: told(process, "up"), limit=10, why="its service answers")
        assert steps(process)[-2:] == ["service", UP]
        service.end()


def test_a_helper_that_is_gone_is_said_and_found_again(network: Program) -> None:
    with agent(network) as process:
        network.do("down")
        until(
            lambda: any("terrible-net" in line for line in told(process, "news")),
            limit=10,
            why="it is missed",
        )
        network.serve()
        until(lambda: told(process, "news")[-1] == "news 10.42.0.1/24", limit=10, why="it is up again")
