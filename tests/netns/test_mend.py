"""Whatever others have damaged is put right by `up`, without a pause for the whole; the bridge at once."""

from __future__ import annotations

import pytest

from . import echo, internet
from .lab import address
from .process import until
from .program import Program

DAMAGE = {
    "a port is taken off the bridge": "ip link set {port} nomaster",
    "a port is set down": "ip link set {port} down",
    "the bridge loses its address": "ip address flush dev terrible0",
    "the bridge is set down": "ip link set terrible0 down",
    "the bridge is deleted": "ip link delete terrible0",
    "all rules are flushed": "nft flush ruleset",
    "the guard is deleted": "nft delete table bridge terrible",
    "names are gone": "sed -i /terrible/d /etc/hosts",
    "forwarding is switched off": "echo 0 >/proc/sys/net/ipv4/ip_forward",
    "files of dnsmasq are gone": "rm /run/terrible-net/hosts /run/terrible-net/names",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_up_mends(populated: Program, damage: str) -> None:
    lab, (node, *_) = populated.lab, populated.lab.nodes
    populated.head.run("sh", "-c", damage.format(port=lab.plugged[node.label].name))
    populated.do("apply")
    assert len(lab.bridged()) == 4
    lease = node.dhcp()
    assert lease is not None
    assert lease.address == address(1)
    assert node.resolve("node2") == address(2)
    assert populated.head.run("getent", "ahostsv4", "node2").split()[0] == address(2)
    assert echo.ask(node, "tcp", internet.ADDRESS, internet.PORT) == "internet hears 198.51.100.2"
    assert len(populated.head.run("nft", "list", "tables").splitlines()) == 2


AT_ONCE = [what for what in DAMAGE if what.startswith(("the bridge", "a port"))]


@pytest.mark.parametrize("damage", AT_ONCE)
def test_what_happens_to_the_bridge_is_put_right_at_once(populated: Program, damage: str) -> None:
    node = populated.lab.nodes[0]
    populated.head.run("sh", "-c", DAMAGE[damage].format(port=populated.lab.plugged[node.label].name))
    until(lambda: node.ping("10.42.0.1"), limit=5, why="the head is there again")
    until(lambda: len(populated.lab.bridged()) == 4, why="all are on the bridge")
    assert node.dhcp() is not None
