"""Which network the cluster gets: the first of a list that no route of the head runs into. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from terrible.errors import HostError

_AS_GOOD_AS_DEFAULT = 4
"""A shorter prefix is a default route in pieces (OpenVPN's `redirect-gateway def1` adds 0/1 and 128/1)."""


def choose(
    candidates: Sequence[str], preferred: str | None, routes: Iterable[dict[str, Any]], own: str
) -> str:
    """The first candidate without a clash, the preferred one before the others; HostError if there is none.

    `routes` are those of `ip -j route`; what runs over the bridge `own` is ours.
    """
    taken = list(_taken(routes, own))
    order = [one for one in candidates if one == preferred] + [one for one in candidates if one != preferred]
    clashes = []
    for candidate in order:
        if not (clash := _clash(candidate, taken)):
            return candidate
        clashes.append(f"{candidate} clashes with {clash}")
    raise HostError(
        f"no room for the cluster's network: {', '.join(clashes)}; set subnet to one that is free"
    )


def clash(subnet: str, routes: Iterable[dict[str, Any]], own: str) -> str:
    """The route that runs into this subnet, as people read it; empty if none does."""
    return _clash(subnet, list(_taken(routes, own)))


def _clash(subnet: str, taken: Iterable[tuple[ipaddress.IPv4Network, str]]) -> str:
    network = ipaddress.IPv4Interface(subnet).network
    for other, device in taken:
        if network.overlaps(other):
            return f"{other} on {device}"
    return ""


def _taken(routes: Iterable[dict[str, Any]], own: str) -> Iterable[tuple[ipaddress.IPv4Network, str]]:
    for route in routes:
        if route.get("dst") == "default" or route.get("dev") == own:
            continue
        try:
            network = ipaddress.IPv4Network(route["dst"])
        except (KeyError, ValueError):
            continue
        if network.prefixlen >= _AS_GOOD_AS_DEFAULT and not network.is_loopback and not network.is_multicast:
            yield network, route.get("dev") or route.get("type", "another route")


def uplink(routes: Iterable[dict[str, Any]], own: str) -> str:
    """The interface of the default route that wins: the one with the lowest metric; empty without one."""
    defaults = [
        route
        for route in routes
        if route.get("dst") == "default"
        and route.get("dev") not in (None, own)
        and "linkdown" not in route.get("flags", [])
    ]
    return str(min(defaults, key=lambda route: route.get("metric", 0))["dev"]) if defaults else ""
