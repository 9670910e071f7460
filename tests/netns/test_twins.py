"""Two nodes with one MAC, as cloned cards have: the second is kept off the bridge, the first works on."""

from __future__ import annotations

from terrible.net import addresses

from .lab import CLUSTER, address
from .process import until
from .program import Program

MAC = addresses.mac(CLUSTER, 1)


def test_the_second_of_two_is_kept_off_until_the_first_has_left(network: Program) -> None:
    lab, (one, two, *_) = network.lab, network.lab.nodes
    network.has_joined(1, lab.plug(one, 1).name)
    lease = one.dhcp()
    assert lease is not None
    there = lab.plug(two, 2, mac=MAC, host_mac=addresses.host_mac(CLUSTER, 1))
    until(lambda: 2 in network.conflicts(), why="the conflict is told")
    assert there.name not in lab.bridged()
    assert two.dhcp(tries=1) is None
    assert one.ping("10.42.0.1", count=5)
    lab.unplug(one)
    network.has_joined(2, there.name)
    assert network.conflicts() == {}


def test_two_that_share_only_the_heads_end_are_told_before_the_second_joins(network: Program) -> None:
    lab, (one, two, *_) = network.lab, network.lab.nodes
    network.has_joined(1, lab.plug(one, 1).name)
    there = lab.plug(two, 2, host_mac=addresses.host_mac(CLUSTER, 1))
    until(lambda: 2 in network.conflicts(), why="the conflict is told")
    assert there.name not in lab.bridged()


def test_two_that_share_only_the_gadgets_mac_are_told_by_their_frames(network: Program) -> None:
    lab, (one, two, *_) = network.lab, network.lab.nodes
    network.has_joined(1, lab.plug(one, 1).name)
    assert one.dhcp() is not None
    there = lab.plug(two, 2, mac=MAC)

    def told() -> bool:
        two.dhcp(tries=1)  # whether it gets an address depends on how soon it is found
        return 2 in network.conflicts()

    until(told, why="the conflict is told")
    assert MAC in network.conflicts()[2]
    until(lambda: there.name not in lab.bridged(), why="the second is off the bridge")
    assert one.ping("10.42.0.1", count=5)


def test_a_twin_that_gets_a_mac_of_its_own_is_let_in(network: Program) -> None:
    lab, (one, two, *_) = network.lab, network.lab.nodes
    network.has_joined(1, lab.plug(one, 1).name)
    assert one.dhcp() is not None
    lab.plug(two, 2, mac=MAC, host_mac=addresses.host_mac(CLUSTER, 1))
    until(lambda: 2 in network.conflicts(), why="the conflict is told")
    lab.unplug(two)
    network.has_joined(2, lab.plug(two, 2).name)
    assert network.conflicts() == {}
    lease = two.dhcp()
    assert lease is not None
    assert lease.address == address(2)
