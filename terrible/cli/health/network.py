"""The node network step by step, from a slot to the internet: the first that fails is where it breaks."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

from terrible.cli.health.finding import Finding, Level
from terrible.cli.health.programs import running
from terrible.config import Config
from terrible.errors import HostError
from terrible.model import Slot
from terrible.net import addresses, coexist, dnsmasq, echo, foreign, interfaces, listeners, subnets, wayout
from terrible.net.interfaces import Interface
from terrible.net.leases import Leases
from terrible.net.plan import Plan, Standing
from terrible.net.tools import PACKAGES, find, listed, output

ROUTES = Path("/proc/net/route")
LOG = "see the helper's line, and /run/terrible-net/log or journalctl -u terrible-net"
ANSWER = 1.0
"""Seconds for an answer of a node or of the way out."""


async def findings(plan: Plan, standing: Standing) -> list[Finding]:
    """All of it, in the order in which a packet meets it."""
    subnet = standing.subnet or plan.subnets[0]
    asking = echo.Echo()
    try:
        return [
            *_tools(),
            *_helper(standing),
            *_bridge(plan, subnet),
            *[finding for slot in plan.slots for finding in await _slot(slot, plan, standing, asking)],
            *await _servers(plan, subnet),
            *_names(plan, subnet),
            *await _rules(plan, subnet),
            *await _way_out(plan, asking),
            *_others(plan),
        ]
    finally:
        asking.close()


def programs(config: Config) -> Iterator[Finding]:
    """What `terrible check` says of it: whether it could be; `terrible net check` tells how it is."""
    if not config.configured or not config.net.enabled:
        yield Finding(Level.NOTE, "network", "left to others: a node is up once its gadget is seen")
        return
    for tool in _tools():
        level = Level.WARNING if tool.level is Level.ERROR else tool.level
        yield Finding(level, "network", tool.said, tool.remedy)


def _tools() -> Iterator[Finding]:
    missing = [tool for tool in PACKAGES if find(tool) is None]
    if missing:
        packages = " ".join(PACKAGES[tool] for tool in missing)
        yield Finding(Level.ERROR, "tools", f"missing: {', '.join(missing)}", f"sudo apt install {packages}")
    else:
        yield Finding(Level.OK, "tools", ", ".join(PACKAGES))


def _helper(standing: Standing) -> Iterator[Finding]:
    if not standing.subnet:
        yield Finding(
            Level.ERROR, "helper", "nobody keeps the network", "sudo terrible net up, or terrible run"
        )
    elif standing.problem:
        said, _, remedy = standing.problem.partition("; ")
        yield Finding(Level.ERROR, "helper", said, remedy or "see the lines below")
    else:
        yield Finding(Level.OK, "helper", "terrible-net keeps the network")


def _bridge(plan: Plan, subnet: str) -> Iterator[Finding]:
    bridge = interfaces.named(plan.bridge)
    if bridge is None:
        yield Finding(
            Level.ERROR, "bridge", f"there is no {plan.bridge}", "sudo terrible net up, or terrible run"
        )
    elif bridge.mac != plan.mac:
        yield Finding(Level.ERROR, "bridge", f"{plan.bridge} is not ours", "set another bridge under [net]")
    else:
        yield Finding(Level.OK, "bridge", f"{plan.bridge} is {subnet}")


async def _slot(slot: Slot, plan: Plan, standing: Standing, asking: echo.Echo) -> list[Finding]:
    """How far a node has come: interface, bridge, carrier, lease, answer."""
    subnet = standing.subnet or plan.subnets[0]
    interface = interfaces.at(slot.location)
    if interface is None:
        return [
            Finding(Level.NOTE, slot.name, f"no network interface at {slot.location}: it is not up, or empty")
        ]
    if conflict := standing.conflicts.get(slot.number):
        return [
            Finding(Level.ERROR, slot.name, conflict, "give each card its own command line (docs/network.md)")
        ]
    if why := _not_joined(interface, plan):
        return [Finding(Level.ERROR, slot.name, *why)]
    address = addresses.address(subnet, slot.number)
    if await asking.answers(address, ANSWER) or await echo.connects(address, 22, ANSWER):
        return [Finding(Level.OK, slot.name, f"{interface.name} at {slot.location} answers at {address}")]
    if Leases().of(slot.mac) is None:
        remedy = (
            f"is {slot.gadget}.dev_addr={slot.mac} in the command line it was served? Does it ask by DHCP?"
        )
        return [
            Finding(Level.ERROR, slot.name, f"{interface.name} is on the bridge, but has no lease", remedy)
        ]
    said = f"{address} is leased, but does not answer"
    return [
        Finding(Level.ERROR, slot.name, said, "look at its console; a firewall there may drop echo and ssh")
    ]


def _not_joined(interface: Interface, plan: Plan) -> tuple[str, str] | None:
    if interface.bridge != plan.bridge:
        said = f"{interface.name} is not on {plan.bridge}" + (
            f", but on {interface.bridge}" if interface.bridge else ""
        )
        return said, "sudo terrible net install, if NetworkManager or systemd-networkd takes it"
    if not interface.carrier:
        return (
            f"{interface.name} has no carrier",
            "is the gadget of the node up? ip link set usb0 up on the node",
        )
    return None


async def _servers(plan: Plan, subnet: str) -> list[Finding]:
    """Our own dnsmasq, and who else listens where it must."""
    address = str(IPv4Interface(subnet).ip)
    own = dnsmasq.running()
    found = [
        Finding(Level.WARNING, "servers", str(one), "stop it, or keep it off the bridge")
        for one in listeners.listeners(address)
        if one.pid is None or one.pid not in own
    ]
    if not own:
        return [
            *found,
            Finding(Level.ERROR, "dnsmasq", "it does not run", LOG),
        ]
    return [*found, Finding(Level.OK, "dnsmasq", f"process {own[0]} serves {plan.bridge}")]


def _names(plan: Plan, subnet: str) -> Iterator[Finding]:
    for slot in plan.slots[:1]:
        address = addresses.address(subnet, slot.number)
        try:
            found = socket.gethostbyname(slot.name)
        except OSError:
            found = ""
        if found == address:
            yield Finding(Level.OK, "names", f"{slot.name} is {address} on this machine")
        elif found:
            said = f"{slot.name} is {found} here, not {address}"
            yield Finding(Level.ERROR, "names", said, "who else says so? grep /etc/hosts for it")
        else:
            said = f"{slot.name} is not known on this machine; it is to be {address}"
            yield Finding(Level.ERROR, "names", said, "sudo terrible net up, or terrible run")


async def _rules(plan: Plan, subnet: str) -> list[Finding]:
    try:
        for table in ("inet terrible", "bridge terrible"):
            await output("nft", "list", "table", *table.split())
        dropping = await foreign.droppers()
        blocked = await foreign.blocked(plan.bridge, plan.forward_chain)
        clash = subnets.clash(subnet, await listed(wayout.ROUTES), plan.bridge)
    except HostError as error:
        return [Finding(Level.ERROR, "rules", str(error), "run as root; is the network up?")]
    found = [Finding(Level.OK, "rules", "tables inet terrible and bridge terrible are there")]
    if clash:
        found.append(Finding(Level.ERROR, "subnet", f"{subnet} clashes with {clash}", "set another subnet"))
    if blocked:
        said, _, remedy = blocked.partition("; ")
        found.append(Finding(Level.ERROR, "forward", said, remedy))
    elif dropping:
        found.append(Finding(Level.OK, "forward", f"{', '.join(dropping)}: our accepts are in its table"))
    return found


async def _way_out(plan: Plan, asking: echo.Echo) -> list[Finding]:
    uplink = plan.uplink or subnets.uplink(await listed(wayout.DEFAULT), plan.bridge)
    if not uplink:
        remedy = "connect the head to a network; the nodes reach each other all the same"
        return [Finding(Level.WARNING, "uplink", "there is no default route", remedy)]
    if uplink not in (name for _, name in socket.if_nameindex()):
        remedy = "plug it in, or correct or remove uplink under [net] in the configuration"
        return [Finding(Level.ERROR, "uplink", f"there is no {uplink} on this machine", remedy)]
    found = []
    for interface in (plan.bridge, uplink):
        path = Path(f"/proc/sys/net/ipv4/conf/{interface}/forwarding")
        if not path.exists() or path.read_text().strip() != "1":
            said = f"IPv4 is not forwarded on {interface}"
            found.append(Finding(Level.ERROR, "uplink", said, "sudo terrible net up, or terrible run"))
    gateway = _gateway(uplink)
    if gateway and not await asking.answers(gateway, ANSWER):
        said = f"{gateway}, the way out through {uplink}, does not answer; some never do"
        found.append(Finding(Level.WARNING, "uplink", said, "does the head itself reach the internet?"))
    return found or [Finding(Level.OK, "uplink", f"{uplink}, by {gateway or 'a route without gateway'}")]


def _gateway(uplink: str) -> str:
    """The gateway of the default route on this interface; empty if there is none (net/ipv4/fib_trie.c)."""
    for line in ROUTES.read_text().splitlines()[1:]:
        name, destination, gateway, *_ = line.split()
        if name == uplink and destination == "00000000" and gateway != "00000000":
            return socket.inet_ntoa(struct.pack("=I", int(gateway, 16)))
    return ""


def _others(plan: Plan) -> Iterator[Finding]:
    """What else configures networks here, and may take what is ours."""
    names = {program.name for program in running()}
    found = sorted(names & {"NetworkManager", "systemd-network", "systemd-networkd", "ModemManager"})
    try:
        outdated = coexist.outdated(plan.bridge, plan.slots)
    except HostError as error:
        said, _, remedy = str(error).partition("; ")
        yield Finding(Level.WARNING, "others", said, remedy)
        return
    if outdated:
        said = f"{', '.join(map(str, outdated))}: not as this configuration needs it by now"
        yield Finding(Level.WARNING, "others", said, "sudo terrible net install")
    elif found and not all(path.exists() for path in coexist.FILES):
        said = f"{', '.join(found)} may take bridge or gadgets"
        yield Finding(Level.WARNING, "others", said, "sudo terrible net install")
