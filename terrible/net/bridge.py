"""The bridge: made, joined and removed with `ip`. Each call looks at what is there, and can be repeated."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from terrible.errors import HostError
from terrible.net import interfaces
from terrible.net.plan import RUN, Plan
from terrible.net.runfiles import write
from terrible.net.tools import ToolError, listed, output

log = logging.getLogger(__name__)

IPV6 = Path("/proc/sys/net/ipv6/conf")
MTUS = RUN / "mtus.json"


async def check(plan: Plan) -> None:
    """HostError where another interface bears the bridge's name.

    Ours is known by its MAC: of all that could mark it, only that comes to be together with it
    (net/core/rtnetlink.c: rtnl_create_link), so that a crash leaves nothing behind that we would not know.
    """
    link = await _link(plan.bridge)
    if link is not None and not _is_ours(link, plan.mac):
        raise HostError(f"{plan.bridge} is there and not ours; set another name as bridge under [net]")


async def make(plan: Plan, subnet: str) -> None:
    """Have the bridge with its address. No node is to be the head's router for IPv6."""
    bridge = plan.bridge
    if await _link(bridge) is None:
        how = f"address {plan.mac} mtu {plan.mtu} type bridge stp_state 0 forward_delay 0"
        await output(f"ip link add name {bridge} {how}")
    else:
        await output(f"ip link set dev {bridge} mtu {plan.mtu} type bridge stp_state 0 forward_delay 0")
    await _address(bridge, subnet)
    advertisements = IPV6 / bridge / "accept_ra"
    if advertisements.exists():
        advertisements.write_text("0")
    await output(f"ip link set dev {bridge} up")


def stands(bridge: str, subnet: str) -> bool:
    """Whether it is there, up and has its address: what others change of it, for the price of a few reads."""
    there = interfaces.named(bridge)
    return there is not None and there.up and interfaces.address(bridge) == subnet


async def _address(bridge: str, subnet: str) -> None:
    """This address and no other of ours."""
    found = [
        f"{info['local']}/{info['prefixlen']}"
        for link in await listed(f"ip -j -4 address show dev {bridge}")
        for info in link.get("addr_info", [])
    ]
    for other in found:
        if other != subnet:
            await output(f"ip address del {other} dev {bridge}")
    if subnet not in found:
        await output(f"ip address add {subnet} broadcast + dev {bridge}")


async def join(interface: str, plan: Plan) -> None:
    """Make an interface a port of the bridge, and up."""
    had = int((interfaces.NET / interface / "mtu").read_text())
    if plan.mtu != had:
        write(MTUS, json.dumps({interface: had} | _mtus()))
        try:
            await output(f"ip link set dev {interface} mtu {plan.mtu}")
        except ToolError as error:  # what its driver does not take is no reason to keep it off
            log.warning("%s", error)
    await output(f"ip link set dev {interface} master {plan.bridge} up")


async def leave(interface: str) -> None:
    """Take it off the bridge and down, as it came."""
    mtu = _mtus().get(interface)
    await output(f"ip link set dev {interface} nomaster down" + (f" mtu {mtu}" if mtu else ""))


async def remove(bridge: str, mac: str) -> None:
    """Remove the bridge if it is there and ours; its ports are as they came."""
    link = await _link(bridge)
    if link is None or not _is_ours(link, mac):
        return
    for port in sorted((interfaces.NET / bridge / "brif").glob("*")):
        await leave(port.name)
    await output(f"ip link del dev {bridge} type bridge")


def _mtus() -> dict[str, int]:
    """What interfaces had before they joined, by their name."""
    try:
        return {str(name): int(mtu) for name, mtu in json.loads(MTUS.read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}


def _is_ours(link: dict[str, object], mac: str) -> bool:
    info = link.get("linkinfo")
    return isinstance(info, dict) and info.get("info_kind") == "bridge" and link.get("address") == mac


async def _link(name: str) -> dict[str, object] | None:
    """What `ip` says of an interface, None where there is none."""
    if not (interfaces.NET / name).exists():
        return None
    found = await listed(f"ip -j -d link show dev {name}")
    return found[0] if found else None
