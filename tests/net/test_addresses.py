"""Addresses of slots: stable for ever, never two alike."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible.net.addresses import address, host_mac, mac

CLUSTERS = st.text(min_size=1, max_size=20)


def test_the_derivation_never_changes() -> None:
    # Golden: nodes in the field carry these. A change here breaks their leases and known hosts.
    assert mac("demo", 1) == "ea:5f:92:79:14:01"
    assert host_mac("demo", 1) == "ee:5f:92:79:14:01"
    assert mac("demo", 250) == "ea:5f:92:79:14:fa"
    assert mac("küche", 7) == "c2:4d:c8:14:81:07"


@settings(deadline=None)
@given(CLUSTERS)
def test_no_two_ends_of_a_cluster_share_an_address(cluster: str) -> None:
    numbers = range(1, 251)
    ends = [end(cluster, number) for number in numbers for end in (mac, host_mac)]
    assert len(set(ends)) == 2 * len(numbers)


@settings(deadline=None)
@given(CLUSTERS, st.integers(1, 250))
def test_every_address_is_local_and_unicast(cluster: str, number: int) -> None:
    for end in (mac, host_mac):
        octets = bytes.fromhex(end(cluster, number).replace(":", ""))
        assert len(octets) == 6
        assert octets[0] & 0b11 == 0b10


def test_clusters_differ() -> None:
    assert len({mac(f"cluster{n}", 1) for n in range(10_000)}) == 10_000


@pytest.mark.parametrize("number", [-1, 0, 251, 256])
def test_a_number_without_an_address_is_refused(number: int) -> None:
    for end in (mac, host_mac):
        with pytest.raises(ValueError, match="1 to 250"):
            end("demo", number)
    with pytest.raises(ValueError, match="1 to 250"):
        address("10.42.0.1/16", number)


@pytest.mark.parametrize(
    ("subnet", "number", "expected"),
    [
        ("10.42.0.1/24", 1, "10.42.0.11"),
        ("10.42.0.1/24", 244, "10.42.0.254"),
        ("192.168.7.129/25", 2, "192.168.7.140"),
        ("10.42.0.254/24", 4, "10.42.0.14"),
        ("10.0.0.1/16", 250, "10.0.1.4"),
    ],
)
def test_a_slot_has_a_fixed_address(subnet: str, number: int, expected: str) -> None:
    assert address(subnet, number) == expected


@pytest.mark.parametrize(
    ("subnet", "number", "why"),
    [
        ("10.42.0.1/24", 245, "no room"),  # the broadcast address
        ("10.42.0.1/24", 246, "no room"),
        ("10.42.0.1/28", 5, "no room"),
        ("10.42.0.14/24", 4, "head's own"),
        ("10.42.0.1/33", 1, "33"),
        ("255.255.255.0/24", 250, "not permitted"),
        ("fd00::1/64", 1, "fd00"),
        ("", 1, "octets|empty"),
    ],
)
def test_what_does_not_fit_is_refused(subnet: str, number: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        address(subnet, number)


@settings(deadline=None)
@given(st.integers(8, 30), st.integers(0, 2**32 - 1), st.integers(1, 250))
def test_an_address_is_a_usable_one_of_the_subnet(prefix: int, head: int, number: int) -> None:
    subnet = ipaddress.IPv4Interface((head, prefix))
    try:
        given_address = ipaddress.IPv4Address(address(str(subnet), number))
    except ValueError:
        return
    assert given_address in subnet.network
    assert given_address not in (subnet.ip, subnet.network.broadcast_address, subnet.network.network_address)
