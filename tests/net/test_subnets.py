"""Which network the cluster gets: never one that the head needs for something else."""

from __future__ import annotations

from typing import Any

import pytest

from terrible.errors import HostError
from terrible.net import subnets
from terrible.net.addresses import SUBNETS

BRIDGE = "terrible0"
HOME = {"dst": "192.168.1.0/24", "dev": "wlan0"}
DEFAULT = {"dst": "default", "gateway": "192.168.1.1", "dev": "wlan0", "metric": 600}


def choose(*routes: dict[str, Any], preferred: str = "") -> str:
    return subnets.choose(SUBNETS, preferred, [HOME, DEFAULT, *routes], BRIDGE)


def test_the_first_of_the_list_if_nothing_is_there() -> None:
    assert choose() == "10.42.0.1/24"


@pytest.mark.parametrize(
    "destination", ["10.42.0.0/24", "10.42.0.128/25", "10.42.0.7", "10.42.0.0/16", "10.32.0.0/11"]
)
def test_the_next_where_a_route_runs_into_it_wholly_or_in_part(destination: str) -> None:
    assert choose({"dst": destination, "dev": "tun0"}) == "192.168.137.1/24"


def test_a_wide_network_takes_all_that_is_in_it() -> None:
    vpn = {"dst": "10.0.0.0/8", "dev": "wg0"}
    office = {"dst": "192.168.0.0/16", "dev": "eth0"}
    assert choose(vpn, office) == "172.30.42.1/24"


def test_our_own_bridge_is_no_clash() -> None:
    assert choose({"dst": "10.42.0.0/24", "dev": BRIDGE}) == "10.42.0.1/24"


def test_a_default_route_in_halves_is_none_either() -> None:
    assert (
        choose({"dst": "0.0.0.0/1", "dev": "tun0"}, {"dst": "128.0.0.0/1", "dev": "tun0"}) == "10.42.0.1/24"
    )


def test_what_was_chosen_before_is_kept_while_it_is_free() -> None:
    assert choose(preferred="10.43.0.1/24") == "10.43.0.1/24"
    assert choose({"dst": "10.43.0.0/24", "dev": "eth0"}, preferred="10.43.0.1/24") == "10.42.0.1/24"


def test_what_is_not_in_the_list_is_never_taken() -> None:
    assert choose(preferred="8.8.8.8/8") == "10.42.0.1/24"


def test_a_fixed_one_that_clashes_is_an_error_that_names_the_route() -> None:
    with pytest.raises(
        HostError, match=r"192\.168\.1\.1/24 clashes with 192\.168\.1\.0/24 on wlan0.*set subnet"
    ):
        subnets.choose(["192.168.1.1/24"], None, [HOME, DEFAULT], BRIDGE)


def test_routes_that_are_none_of_ipv4_are_passed_over() -> None:
    odd = [{"dst": "fe80::/64", "dev": "eth0"}, {"dev": "x"}, {"type": "blackhole", "dst": "10.42.0.0/30"}]
    assert choose(*odd[:2]) == "10.42.0.1/24"
    assert choose(*odd) == "192.168.137.1/24"


def test_the_uplink_is_the_default_route_that_wins() -> None:
    wired = {"dst": "default", "dev": "eth0", "metric": 100}
    assert subnets.uplink([DEFAULT, HOME], BRIDGE) == "wlan0"
    assert subnets.uplink([DEFAULT, wired], BRIDGE) == "eth0"
    assert subnets.uplink([DEFAULT, {"dst": "default", "dev": "ppp0"}], BRIDGE) == "ppp0"
    assert subnets.uplink([DEFAULT, {**wired, "flags": ["linkdown"]}], BRIDGE) == "wlan0"
    assert subnets.uplink([HOME, {"dst": "default", "dev": BRIDGE}], BRIDGE) == ""
