"""The laboratory itself, with commands that people type: what it shows of the program rests on this."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from terrible.net import addresses

from . import echo, internet, snapshot
from .lab import CLUSTER, Lab, address, running
from .node import CLIENTS
from .process import FailedError, Process, until
from .space import Space


def bridge_by_hand(lab: Lab) -> Process:
    """A bridge with every plugged node and a dnsmasq that knows the gadgets; returns once it answers."""
    head = lab.head
    head.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    head.ip("address", "add", "10.42.0.1/24", "dev", "br0")
    head.ip("link", "set", "br0", "up")
    for there in lab.plugged.values():
        head.ip("link", "set", there.name, "master", "br0", "up")
    hosts = [f"--dhcp-host={addresses.mac(CLUSTER, n)},{address(n)},node{n}" for n in range(1, 5)]
    files = ["--conf-file=/dev/null", "--pid-file", "--dhcp-leasefile=/run/leases", "--domain=lab.internal"]
    options = [
        "--keep-in-foreground",
        "--interface=br0",
        "--bind-interfaces",
        "--dhcp-range=10.42.0.0,static",
        "--no-ping",
    ]
    process = head.spawn("dnsmasq", *files, *options, *hosts)
    until(lambda: head.attempt("dig", "@10.42.0.1", "x.example")[0] == 0, why="dnsmasq answers")
    return process


@pytest.mark.parametrize("client", CLIENTS)
def test_nodes_get_leases_from_a_bridge_made_by_hand(lab: Lab, client: str) -> None:
    for slot, node in enumerate(lab.nodes, start=1):
        lab.plug(node, slot)
    bridge_by_hand(lab)
    lease = lab.nodes[1].dhcp(client)
    assert lease is not None
    assert (lease.address, lease.router, lease.dns) == ("10.42.0.12", "10.42.0.1", "10.42.0.1")
    assert (lease.domain, lease.hostname, lease.server) == ("lab.internal", "node2", "10.42.0.1")
    assert lab.nodes[1].ping("10.42.0.1")
    assert not lab.nodes[1].ping(internet.ADDRESS), (
        "nobody forwards or translates, and the internet knows no way back"
    )


def test_a_rogue_server_gives_leases_where_nobody_guards(lab: Lab) -> None:
    for slot, node in enumerate(lab.nodes, start=1):
        lab.plug(node, slot)
    bridge_by_hand(lab).end()
    lab.nodes[3].rogue()
    lease = lab.nodes[0].dhcp()
    assert lease is not None
    assert lease.server == "192.168.66.1"


def test_the_internet_answers_the_head_and_says_whom_it_hears(lab: Lab) -> None:
    for kind in ("tcp", "udp"):
        assert echo.ask(lab.head, kind, internet.ADDRESS, internet.PORT) == "internet hears 198.51.100.2"
    lab.internet.route("wan1")
    assert echo.ask(lab.head, "tcp", internet.ADDRESS, internet.PORT) == "internet hears 192.0.2.2"
    assert lab.head.run("dig", "+short", internet.NAME).strip() == internet.ADDRESS


def test_a_node_is_found_by_where_it_sits(lab: Lab) -> None:
    there = lab.plug(lab.nodes[0], 3, name="usb7")
    assert there.usb.startswith("1-1.3:")
    tree = f"/sys/bus/usb/devices/{there.usb}/net/usb7"
    assert lab.head.run("cat", f"{tree}/address").strip() == addresses.host_mac(CLUSTER, 3)
    lab.rename(lab.nodes[0], "enx7")
    assert lab.head.run("ls", str(Path(tree).parent)).split() == ["enx7"]
    lab.unplug(lab.nodes[0])
    assert "1-1.3" not in lab.head.run("ls", "/sys/bus/usb/devices")
    assert there.name not in lab.head.ip("-br", "link")


def test_what_the_head_writes_stays_in_the_laboratory(lab: Lab) -> None:
    outside = Path("/etc/hosts").read_text()
    lab.head.run(
        "sh", "-c", "echo 10.0.0.1 x >/etc/hosts.new; mv /etc/hosts.new /etc/hosts; touch /run/x; hostname y"
    )
    assert "10.0.0.1 x" in lab.head.run("cat", "/etc/hosts")
    assert Path("/etc/hosts").read_text() == outside
    assert not Path("/run/x").exists()
    assert os.uname().nodename != "y"


def test_a_snapshot_sees_every_kind_of_trace(lab: Lab) -> None:
    lab.plug(lab.nodes[0], 1, name="usb0")
    before = snapshot.take(lab.head)
    snapshot.unchanged(lab.head, before)
    for trace, end in (
        ("ip link set usb0 up", "ip link set usb0 down"),
        ("ip link set usb0 mtu 1400", "ip link set usb0 mtu 1500"),
        ("ip address add 10.42.0.1/24 dev lo", "ip address delete 10.42.0.1/24 dev lo"),
        ("ip route add 10.99.0.0/24 dev wan0", "ip route delete 10.99.0.0/24"),
        ("nft add table inet terrible", "nft delete table inet terrible"),
        (
            "echo 1 >/proc/sys/net/ipv4/conf/wan0/forwarding",
            "echo 0 >/proc/sys/net/ipv4/conf/wan0/forwarding",
        ),
        ("echo >>/etc/hosts", "sed -i '$d' /etc/hosts"),
        ("mkdir /run/terrible-net", "rmdir /run/terrible-net"),
        ("sleep 60 <&- >&- 2>&- & echo $! >/tmp/$1", "kill $(cat /tmp/$1); rm /tmp/$1"),
    ):
        unique = f"snapshot-{lab.head.pid}"
        lab.head.run("sh", "-c", trace, "sh", unique)
        assert snapshot.difference(before, snapshot.take(lab.head)), trace
        lab.head.run("sh", "-c", end, "sh", unique)
        snapshot.unchanged(lab.head, before, when=end)


def test_nothing_is_left_of_a_laboratory(tmp_path: Path, _possible: None) -> None:
    def outside() -> set[str]:
        command = ["sh", "-c", "ls /proc/[0-9]*/ns/net -l | sed 's/.*> //'; ip -br link"]
        return set(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())

    with pytest.raises(FailedError, match="no-such"):
        with running(tmp_path) as lab:
            lab.plug(lab.nodes[0], 1)
            inside = {
                os.readlink(f"/proc/{space.pid}/ns/net") for space in (lab.head, lab.internet, *lab.nodes)
            }
            background = lab.head.spawn("sleep", "1000")
            lab.head.run("no-such-command")
    assert not inside & outside()
    with pytest.raises(ProcessLookupError):
        os.kill(background.pid, 0)


def test_a_laboratory_ends_with_the_test_that_is_killed(_possible: None) -> None:
    with closing(Space("alone", "192.0.2.254")) as space:
        background = space.spawn("sleep", "1000")
        space._outer.stdin.close()  # type: ignore[union-attr]  # as the kernel does for a killed process
        until(lambda: not Path(f"/proc/{background.pid}").exists(), why="all of it ends")
