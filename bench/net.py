"""The node network: how soon a node is `up`, what our rules cost its traffic, what watching 100 nodes costs.

Real bridge, nft, dnsmasq and udhcpc in the namespaces of tests/netns; needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

from bench.table import Row, show
from tests.netns import lab as laboratory
from tests.netns.internet import ADDRESS
from tests.netns.lab import Lab
from tests.netns.node import Node
from tests.netns.process import Process, until
from tests.netns.program import SOCKET, Program
from tests.netns.space import Space

GOAL = 1 / 0.97
"""Of throughput: what goes through our rules is at least so much of what goes without."""
MASQUERADE = """table ip plain {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "wan0" masquerade
  }
}
"""
INSIDE = (sys.executable, "-m", "bench.inside.reach")


@contextmanager
def network() -> Iterator[Lab]:
    """A laboratory whose network is up."""
    with (
        tempfile.TemporaryDirectory(prefix="terrible-bench-") as scratch,
        laboratory.running(Path(scratch)) as lab,
    ):
        program = Program(lab)
        program.configure({"ports": 30})
        program.up()
        yield lab
        program.down()


def arrivals(lab: Lab, rounds: int) -> list[Row]:
    """From the gadget's interface to `up`, less what the client needs on a bridge that is there already."""
    node = lab.nodes[0]
    reach = lab.head.spawn(*INSIDE, "arrivals", SOCKET)
    beyond, joining = [], []
    for number in range(rounds):
        began = monotonic()
        lab.plug(node, 1)
        assert node.dhcp(), "no lease"
        told = json.loads(_line(reach, 2 * number))
        asked = monotonic()
        assert node.dhcp(), "no lease"
        beyond.append(told["up"] - began - (monotonic() - asked))
        joining.append(told["carrier"] - began)
        lab.unplug(node)
        _line(reach, 2 * number + 1)
    reach.end()
    return [
        Row("arrival to up, beyond the client's own DHCP time, p95", [_p95(beyond)], "s", 2.0),
        Row("the same, each", beyond, "s"),
        Row("arrival to the bridge", joining, "s"),
    ]


def _line(process: Process, number: int, limit: float = 20) -> str:
    """The line with this number, from 0, of what it tells."""

    def told() -> list[str]:
        return [line for line in process.said().splitlines() if line.startswith(("{", "gone"))][number:]

    return until(told, limit, f"line {number}")[0]


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def throughput(lab: Lab, rounds: int) -> list[Row]:
    """Ours and plain ones in turn, in another order each time; a ratio above 1 is what the rules cost."""
    for number in (1, 2):
        lab.plug(lab.nodes[number], number)
        assert lab.nodes[number].dhcp(), "no lease"
    with plain() as (one, two, beyond), plain(MASQUERADE) as (behind, _, outside):
        ways = {
            "plain bridge": (one, two, "10.77.0.12"),
            "our bridge": (lab.nodes[1], lab.nodes[2], laboratory.address(2)),
            "plain routing": (one, beyond, "203.0.113.9"),
            "masquerade": (behind, outside, "203.0.113.9"),
            "our way out": (lab.nodes[1], lab.internet, ADDRESS),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name in random.sample(list(ways), len(ways)):
                rates[name].append(rate(*ways[name]))
    return ratios(rates)


def ratios(rates: Mapping[str, list[float]]) -> list[Row]:
    """Of each round, and the rates that they are of."""

    def ratio(what: str, than: str) -> list[float]:
        return [one / other for one, other in zip(rates[what], rates[than], strict=True)]

    bridge, way_out = ratio("plain bridge", "our bridge"), ratio("plain routing", "our way out")
    return [
        Row("plain bridge / ours, node to node", bridge, "", GOAL),
        Row("plain routing without NAT / ours, node to uplink", way_out, "", GOAL),
        Row("plain routing / one rule that masquerades", ratio("plain routing", "masquerade")),
        Row("one rule that masquerades / ours", ratio("masquerade", "our way out")),
        *(Row(name, [one / 1e9 for one in each], "Gbit/s") for name, each in rates.items()),
    ]


@contextmanager
def plain(rules: str = "") -> Iterator[tuple[Space, Space, Space]]:
    """Two nodes on a bridge and somebody beyond, who knows the way back: no rule of anybody's but these."""
    with tempfile.TemporaryDirectory(prefix="terrible-bench-") as scratch:
        directory = Path(scratch)
        with (
            closing(Space("plain", ADDRESS)) as head,
            closing(Node(directory, "one")) as one,
            closing(Node(directory, "two")) as two,
            closing(Space("beyond", ADDRESS)) as beyond,
        ):
            head.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
            head.ip("address", "add", "10.77.0.1/24", "dev", "br0")
            head.ip("link", "set", "br0", "up")
            head.sysctl("ipv4/ip_forward", 1)
            for number, node in ((11, one), (12, two)):
                _wire(head, f"v{number}", node, "usb0", f"10.77.0.{number}/24")
                head.ip("link", "set", f"v{number}", "master", "br0")
                node.ip("route", "add", "default", "via", "10.77.0.1")
            _wire(head, "wan0", beyond, "wan0", "203.0.113.9/24")
            head.ip("address", "add", "203.0.113.8/24", "dev", "wan0")
            beyond.ip("route", "add", "default", "via", "203.0.113.8")
            head.run("nft", "-f", "-", given=rules)
            yield one, two, beyond


def _wire(head: Space, name: str, other: Space, called: str, address: str) -> None:
    head.ip("link", "add", name, "type", "veth", "peer", "name", called, "netns", str(other.pid))
    other.ip("address", "add", address, "dev", called)
    other.ip("link", "set", called, "up")
    head.ip("link", "set", name, "up")


def rate(sender: Space, receiver: Space, address: str) -> float:
    """Bits a second of one TCP stream of a second: the median of its tenths, less the first two.

    Both ends share a core, before others, so that all costs add up: on two, who sleeps and who wakes makes
    more difference than any rule.
    """
    core = ("nice", "-n", "-20", "taskset", "-c", str(max(os.sched_getaffinity(0))))
    serving = receiver.spawn(*core, "iperf3", "-s", "-1")
    try:
        until(lambda: receiver.run("ss", "-Hltn", "sport = :5201").strip(), why="iperf3 listens")
        said = json.loads(sender.run(*core, "iperf3", "-c", address, "-t", "1", "-i", "0.1", "-J"))
    finally:
        serving.end()
    return statistics.median(float(tenth["sum"]["bits_per_second"]) for tenth in said["intervals"][2:])


def watch(lab: Lab, nodes: int, seconds: float) -> list[Row]:
    """All of them are one namespace with as many addresses: what is measured is the head's side."""
    node = lab.nodes[3]
    lab.plug(node, 4)
    for number in range(1, nodes + 1):
        node.ip("address", "add", f"{laboratory.address(number)}/24", "dev", "usb0")
    done = lab.head.spawn(*INSIDE, "watch", SOCKET, str(nodes), str(seconds))
    told = json.loads(_line(done, 0, seconds + 60))
    assert not told["lost"], "a node was lost"
    what = f"CPU of the agent, {nodes} up nodes watched for {seconds:.0f} s"
    return [Row(what, [100 * told["cpu"] / seconds], "% of a core", 0.5)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("arrivals", "throughput", "watch"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3600, help="of watching")
    options = parser.parse_args()
    with network() as lab:
        if options.only in (None, "arrivals"):
            show("arrivals", arrivals(lab, options.rounds))
        if options.only in (None, "throughput"):
            show("throughput, ratios of rates", throughput(lab, options.rounds))
        if options.only in (None, "watch"):
            show("watching", watch(lab, 100, options.seconds))


if __name__ == "__main__":
    main()
