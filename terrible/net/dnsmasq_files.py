"""What dnsmasq reads and writes: its configuration, its hosts, its leases. Pure (dnsmasq(8))."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from terrible.net import addresses
from terrible.net.plan import Plan

LEASE = "12h"
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Lease:
    """A line of the lease file; `expires` is Unix time in seconds, 0 for never."""

    expires: int
    mac: str
    address: str
    name: str


def configuration(plan: Plan, subnet: str, run: Path) -> str:
    """Bound to the bridge alone; the head's own upstream servers; nothing for a MAC that nobody knows."""
    head = ipaddress.IPv4Interface(subnet)
    guests = ",".join(plan.guests) if plan.guests else f"{head.network.network_address},static"
    lines = [
        f"interface={plan.bridge}",
        "except-interface=lo",
        "bind-interfaces",
        "no-hosts",
        f"addn-hosts={run / 'names'}",
        f"domain={plan.domain}",
        f"local=/{plan.domain}/",
        "expand-hosts",
        "domain-needed",
        f"dhcp-range={guests},{head.netmask},{LEASE}",
        f"dhcp-hostsfile={run / 'hosts'}",
        f"dhcp-leasefile={run / 'leases'}",
        f"dhcp-option=option:router,{head.ip}",
        f"dhcp-option=option:dns-server,{head.ip}",
        f"dhcp-option=option:domain-search,{plan.domain}",
        f"dhcp-lease-max={addresses.LAST + 256}",
        "dhcp-authoritative",
        "no-ping",
    ]
    if head.network.prefixlen % 8 == 0:  # a larger zone would hide names of other networks
        lines.append(f"local=/{_reverse(head.network)}/")
    if plan.mtu != 1500:
        lines.append(f"dhcp-option=option:mtu,{plan.mtu}")
    return "\n".join(lines) + "\n"


def hosts(plan: Plan, subnet: str) -> str:
    """`dhcp-hostsfile`: the fixed address of each slot's gadget; read anew at SIGHUP."""
    where = fixed(plan, subnet)
    return "".join(f"{slot.mac},{where[slot.name]},{slot.name}\n" for slot in plan.slots)


def names(plan: Plan, subnet: str) -> dict[str, str]:
    """Every name of the cluster and its address; the head's own first."""
    return {plan.head: str(ipaddress.IPv4Interface(subnet).ip)} | fixed(plan, subnet)


def fixed(plan: Plan, subnet: str) -> dict[str, str]:
    """The name of each slot and its address."""
    return {slot.name: addresses.address(subnet, slot.number) for slot in plan.slots}


def names_file(names: Mapping[str, str]) -> str:
    """`addn-hosts`, in the format of hosts(5); read anew at SIGHUP."""
    return "".join(f"{address} {name}\n" for name, address in names.items())


def leases(text: str) -> list[Lease]:
    """The leases of a lease file; what is no lease of IPv4 is passed over."""
    return [lease for line in text.splitlines() if (lease := _lease(line)) is not None]


def sound(text: str, plan: Plan, subnet: str) -> str:
    """A lease file without what would keep a slot from its address: damaged lines, leases of others.

    dnsmasq keeps a fixed address from its owner for as long as somebody else has a lease of it.
    """
    where = fixed(plan, subnet)
    owners = {where[slot.name]: slot.mac for slot in plan.slots}
    lines = [(line, _lease(line)) for line in text.splitlines()]
    kept = [line for line, lease in lines if lease and owners.get(lease.address, lease.mac) == lease.mac]
    return "".join(f"{line}\n" for line in kept)


def _lease(line: str) -> Lease | None:
    """`1700000000 02:00:00:00:00:01 10.42.0.11 node1 01:02:…`; `*` is no name."""
    match line.split():
        case [expires, mac, address, name, *_] if expires.isdecimal() and _MAC.fullmatch(mac):
            try:
                ipaddress.IPv4Address(address)
            except ValueError:
                return None
            return Lease(int(expires), mac.lower(), address, "" if name == "*" else name)
    return None


def _reverse(network: ipaddress.IPv4Network) -> str:
    """The zone of the reverse names of a network whose prefix is whole octets."""
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return ".".join([*reversed(octets), "in-addr.arpa"])
