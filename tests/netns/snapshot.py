"""All of a head's network, so that "leaves no trace" can be looked at: what was, what is, how they differ."""

from __future__ import annotations

import json
import time
from typing import Any

from .space import Space

_IP = {
    "links": ["-d", "link"],
    "addresses": ["address"],
    "routes": ["route", "show", "table", "all"],
    "routes6": ["-6", "route", "show", "table", "all"],
    "rules": ["rule"],
}
_FLEETING = {
    *("valid_life_time", "preferred_life_time", "tentative", "dadfailed", "expires", "cacheinfo", "flags6"),
    *("handle", "packets", "bytes", "metainfo"),
    "qdisc",  # `noop` only until an interface is set up for the first time
    *("operstate", "NO-CARRIER", "LOWER_UP"),  # up to a second late (net/core/link_watch.c)
    *("hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "hold_timer", "message_age_timer"),
    "forward_delay_timer",
}
"""Keys and flags that change by themselves."""
_FILES = "find /etc /run -printf '%p %y %m %u\\n'; sha256sum /etc/hosts /etc/resolv.conf"
_SYSCTLS = (
    "grep -rs . /proc/sys/net --exclude=nf_conntrack_count --exclude=stat_refresh --exclude=tcp_fastopen_key"
)

Snapshot = dict[str, set[str]]
"""By what it is about: one text for each fact."""


def take(head: Space) -> Snapshot:
    """As it is now."""
    facts = {what: _facts(json.loads(head.ip("-j", *arguments) or "[]")) for what, arguments in _IP.items()}
    facts["rules of nft"] = _facts(json.loads(head.run("nft", "-j", "list", "ruleset"))["nftables"])
    facts["sysctls"] = set(head.attempt("sh", "-c", _SYSCTLS)[1].splitlines())
    facts["files"] = set(head.run("sh", "-c", _FILES).splitlines())
    facts["processes"] = set(head.processes().values())
    return facts


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """What is gone and what is new, a line for each; of an interface that its name is enough."""
    moved = _names(before) ^ _names(after)
    return [
        f"{what}: {sign}{fact}"
        for what in before
        for sign, facts in (("-", before[what] - after[what]), ("+", after[what] - before[what]))
        for fact in sorted(facts)
        if not any(f'["{name}", ' in fact or f"/{name}/" in fact for name in moved) or '"ifname"' in fact
    ]


def _names(snapshot: Snapshot) -> set[str]:
    return {json.loads(fact)[0] for fact in snapshot["links"]}


def unchanged(head: Space, before: Snapshot, limit: float = 3.0, when: str = "") -> None:
    """Assert that the head is as it was; the kernel gets a moment to put its own house in order."""
    deadline = time.monotonic() + limit
    while (lines := difference(before, take(head))) and time.monotonic() < deadline:
        pass
    assert not lines, "\n".join([when, *lines])


def _facts(entries: list[dict[str, Any]]) -> set[str]:
    """An interface gives a fact for each of its keys, so that a difference is short."""
    whole = [_lasting(entry) for entry in entries if entry]
    split = [
        [(entry["ifname"], key, entry[key]) for key in entry] if "ifname" in entry else [entry]
        for entry in whole
    ]
    return {json.dumps(fact, sort_keys=True) for facts in split for fact in facts}


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(inner) for key, inner in value.items() if key not in _FLEETING}
    if isinstance(value, list):
        return [_lasting(inner) for inner in value if not isinstance(inner, str) or inner not in _FLEETING]
    return value
