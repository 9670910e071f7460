"""The two nft tables as text. Pure.

`inet terrible` lets the nodes talk to each other and out through the uplink, behind the head's address there,
and lets nobody else in. `bridge terrible` drops what only a server says (DHCP, DHCPv6, router
advertisements) when a node says it: a stock image that shares its own network, as `rpi-usb-gadget` does,
would take over the cluster's.

A table is replaced by adding, deleting and defining it in one transaction: adding makes the deletion succeed
where there is none yet (`destroy` came with nft 1.0.8, Debian 12 has 1.0.6).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from terrible.net.plan import Forward

INET = "inet terrible"
GUARD = "bridge terrible"
_REFUSED = "refused"
_SERVERS, _CLIENTS = "{ 67, 547 }", "{ 68, 546 }"
_TCP = 6
"""By number: a head without /etc/protocols does not know its name."""


def removal(*tables: str) -> str:
    """Delete these tables, whether or not they are there."""
    return "".join(f"add table {table}\ndelete table {table}\n" for table in tables)


def routing(bridge: str, subnet: str, uplink: str, forwards: Mapping[Forward, str]) -> str:
    """The table `inet terrible`, anew; `forwards` leads each forward to an address.

    What most packets are comes first; between nodes there are some only where br_netfilter is on.
    """
    head, network = ipaddress.IPv4Interface(subnet).ip, ipaddress.IPv4Interface(subnet).network
    out = f'iifname "{bridge}" oifname "{uplink}" ip saddr {network} accept' if uplink else ""
    back = f'iifname "{uplink}" oifname "{bridge}" ct state established,related accept' if uplink else ""
    nat = f'ip saddr {network} oifname "{uplink}" masquerade' if uplink else ""
    return f"""{removal(INET)}
table {INET} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    {out}
    {back}
    iifname "{bridge}" oifname "{bridge}" accept
    iifname "{uplink or "lo"}" oifname "{bridge}" ct status dnat accept
    iifname "{bridge}" drop
    oifname "{bridge}" drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    {f'iifname "{uplink}" ip daddr {head} drop' if uplink else ""}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {nat}
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    {_forwards(uplink, forwards)}
  }}
}}
"""


def guard(ports: Iterable[str]) -> str:
    """The table `bridge terrible`, anew, armed for these ports; it counts for each of them.

    In prerouting, so that the head itself is spared as well. Ports: DHCP server 67 and client 68 (RFC 2131),
    DHCPv6 server 547 and client 546 (RFC 8415): clients look at their own alone. A tag with VLAN 0, of which
    there may be several, is only a priority: who receives it takes what is inside for untagged
    (net/core/dev.c: __netif_receive_skb_core), and no rule sees that far. The ports of nodes are a set, for
    `meta ibrname` is missing in kernels without CONFIG_NFT_BRIDGE_META.

    TCP and the UDP of others leave at once. Neither can match a rule of `answers`, but for the tag, and below
    that it has been read already. What could not be read matches neither: a later fragment has no ports, a
    second tag no protocol (nft_do_chain_bridge looks at the type alone, nft_payload_eval not into fragments).
    """
    counted = f"update @{_REFUSED} {{ iifname counter }} drop"
    elements = ", ".join(f'"{port}"' for port in ports)
    return f"""{removal(GUARD)}
table {GUARD} {{
  set nodes {{
    type ifname
    {f"elements = {{ {elements} }}" if elements else ""}
  }}
  set {_REFUSED} {{
    type ifname
    flags dynamic
    size 4096
  }}
  chain answers {{
    ether type vlan vlan id 0 {counted}
    ether type 8021ad vlan id 0 {counted}
    udp sport {_SERVERS} {counted}
    udp dport {_CLIENTS} {counted}
    icmpv6 type nd-router-advert {counted}
  }}
  chain prerouting {{
    type filter hook prerouting priority dstnat; policy accept;
    meta l4proto {_TCP} accept
    udp sport != {_SERVERS} udp dport != {_CLIENTS} accept
    iifname @nodes jump answers
  }}
}}
"""


def guarded(port: str) -> str:
    """Arm the guard for one more port, before it joins."""
    return f'add element {GUARD} nodes {{ "{port}" }}\n'


def unguarded(port: str) -> str:
    """A port has left; another interface may have its name later, and begins without its count.

    Adding makes the deletion succeed.
    """
    sets = (f'{GUARD} {name} {{ "{port}" }}\n' for name in ("nodes", _REFUSED))
    return "".join(f"add element {one}delete element {one}" for one in sets)


REFUSED = ("set", *GUARD.split(), _REFUSED)
"""What `nft -j list` is asked for."""


def refused(listing: Mapping[str, Any]) -> dict[str, int]:
    """How many answers of each port were dropped, from `nft -j list set` of the guard."""
    counts = {}
    for entry in listing.get("nftables", []):
        for element in entry.get("set", {}).get("elem", []):
            match element:
                case {"elem": {"val": str(port), "counter": {"packets": int(packets)}}}:
                    counts[port] = packets
    return counts


def _forwards(uplink: str, forwards: Mapping[Forward, str]) -> str:
    lines: Sequence[str] = [
        f'iifname "{uplink}" fib daddr type local tcp dport {forward.port} dnat ip to {address}:{forward.to}'
        for forward, address in forwards.items()
    ]
    return "\n    ".join(lines) if uplink else ""
