"""Forward chains of others that drop: an accept of ours cannot undo that, an accept among their rules can.

Docker, ufw and firewalld drop what is forwarded and nobody of theirs asked for. Docker looks first into
DOCKER-USER, which it leaves to people; another chain can be named as `forward_chain`. Two rules that bear
our comment go there. They let pass whatever comes from or goes to the bridge; that it is no more than it
should be is looked after by `inet terrible`, whose drop counts as well.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from terrible.errors import HostError
from terrible.net.tools import ToolError, find, output

COMMENT = "terrible"
DOCKER = "DOCKER-USER"
LEGACY = Path("/proc/net/ip_tables_names")
_OURS = ("terrible",)
_CORRECT = "start what makes it, or correct or remove forward_chain under [net]"


async def open_chains(bridge: str, named: str | None) -> str:
    """Have our accepts in the chain named, else in Docker's; what still drops is told, with what to do."""
    chain = await _chain(named)
    if chain is not None:
        try:
            await _accept(chain, bridge)
        except ToolError as error:
            raise HostError(f"no rule can be put into the chain {chain}: {error}; {_CORRECT}") from None
    return await blocked(bridge, named)


async def blocked(bridge: str, named: str | None) -> str:
    """Which chain drops where no accept of ours can help, and what to do; empty if none does."""
    chain = await _chain(named)
    dropping = [one for one in await droppers() if not _covers(chain, one)]
    if not dropping:
        return ""
    return f"{dropping[0]} drops what is forwarded; {remedy(dropping[0], bridge)}"


async def _chain(named: str | None) -> str | None:
    return named or (DOCKER if await _has_iptables_chain(DOCKER) else None)


async def close_chains(bridge: str, named: str | None) -> None:
    """Take our accepts out again, wherever they may be; a chain that is gone has none."""
    for chain in {named, DOCKER} - {None}:
        assert chain is not None
        with suppress(ToolError):
            await _withdraw(chain, bridge)


def remedy(chain: str, bridge: str) -> str:
    """The lines to add by hand for a chain that we may not touch; `family table chain`."""
    if chain.startswith("ip filter "):
        return (
            f"sudo iptables -I FORWARD -i {bridge} -j ACCEPT; sudo iptables -I FORWARD -o {bridge} -j ACCEPT"
        )
    insert = f"sudo nft insert rule {chain}"
    lines = f"{insert} iifname {bridge} accept; {insert} oifname {bridge} accept"
    return f"{lines} (or name it as forward_chain under [net])"


async def droppers() -> list[str]:
    """Forward chains of others that drop what their rules do not take, as `family table chain`."""
    found = []
    for entry in await _nft("list", "chains"):
        chain = entry.get("chain", {})
        if (
            chain.get("hook") != "forward"
            or chain.get("family") not in ("ip", "inet")
            or chain["table"] in _OURS
        ):
            continue
        where = f"{chain['family']} {chain['table']} {chain['name']}"
        if chain.get("policy") == "drop" or await _ends_in_drop(where):
            found.append(where)
    return found


async def _ends_in_drop(chain: str) -> bool:
    """Whether the last rule, without any condition, drops or rejects (firewalld's `filter_FORWARD`)."""
    rules = [entry["rule"] for entry in await _nft("list", "chain", *chain.split()) if "rule" in entry]
    verdicts = [set(one) & {"drop", "reject"} for one in (rules[-1].get("expr", []) if rules else [])]
    return bool(verdicts) and all(verdicts)


def _covers(chain: str | None, dropper: str) -> bool:
    """Whether accepts in `chain` end the way through the chain that drops: both are of one table."""
    if chain is None:
        return False
    family, table, _ = dropper.split()
    if " " in chain:
        return chain.split()[:2] == [family, table]
    return (family, table) == ("ip", "filter")


async def _accept(chain: str, bridge: str) -> None:
    if " " in chain:
        present = await _ours_in(chain)
        for direction in ("iifname", "oifname"):
            if not any(direction in rule for rule in present.values()):
                await output(f"nft insert rule {chain} {direction} {bridge} accept comment {COMMENT}")
        return
    for rule in _iptables_rules(bridge):
        try:
            await output("iptables", "-w", "-C", chain, *rule)
        except ToolError:
            await output("iptables", "-w", "-I", chain, *rule)


async def _withdraw(chain: str, bridge: str) -> None:
    if " " in chain:
        for handle in await _ours_in(chain):
            await output(f"nft delete rule {chain} handle {handle}")
        return
    if not await _has_iptables_chain(chain):
        return
    for rule in _iptables_rules(bridge):
        with suppress(ToolError):
            while True:
                await output("iptables", "-w", "-D", chain, *rule)


def _iptables_rules(bridge: str) -> list[list[str]]:
    comment = ["-m", "comment", "--comment", COMMENT]
    return [["-i", bridge, *comment, "-j", "ACCEPT"], ["-o", bridge, *comment, "-j", "ACCEPT"]]


async def _has_iptables_chain(chain: str) -> bool:
    """Looked for without `iptables`, which makes its tables by being asked; the old kind is not in nft."""
    if find("iptables") is None:
        return False
    if not LEGACY.exists() or "filter" not in LEGACY.read_text().split():
        present = [entry.get("chain", {}) for entry in await _nft("list", "chains")]
        return any(
            (one.get("family"), one.get("table"), one.get("name")) == ("ip", "filter", chain)
            for one in present
        )
    try:
        await output("iptables", "-w", "-n", "-L", chain)
    except ToolError:
        return False
    return True


async def _ours_in(chain: str) -> dict[int, str]:
    """Our rules in a chain by their handle, as JSON text."""
    rules = [entry["rule"] for entry in await _nft("-a", "list", "chain", *chain.split()) if "rule" in entry]
    return {rule["handle"]: json.dumps(rule["expr"]) for rule in rules if rule.get("comment") == COMMENT}


async def _nft(*words: str) -> list[dict[str, Any]]:
    return list(json.loads(await output("nft", "-j", *words) or "{}").get("nftables", []))
