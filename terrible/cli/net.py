"""`terrible net`: the node network without the agent for who only wants that, and a look at it for all."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from terrible import lock
from terrible.cli import netplan
from terrible.cli.loop import complain
from terrible.configfile import ConfigError, load
from terrible.errors import HostError
from terrible.net import addresses, coexist, echo, helper, interfaces
from terrible.net.client import NetHelper
from terrible.net.head import take_down
from terrible.net.leases import Leases
from terrible.net.messages import NetRequest
from terrible.net.plan import RUN, Plan, Standing
from terrible.net.runfiles import applied, forget
from terrible.state import State

END = 10.0
"""Seconds for a helper to end after it has taken the network down."""


def guarded(work: Callable[[], int]) -> int:
    """Run a command; what goes wrong is one line and its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return work()
    except HostError as error:
        return complain(error)
    except PermissionError as error:
        return complain(HostError(f"{error.filename}: {error.strerror}; run as root"))


def up(config: Path | None) -> int:
    """Set the network up and leave a `terrible-net` to keep it; the same again changes nothing."""
    path = _named(config)
    _need_root()
    plan = netplan.trusted(path)
    state = State(load(path, {}).state_directory / "state.json")
    standing = asyncio.run(_up(path, state.subnet))
    if standing.bridge != plan.bridge:
        raise HostError(
            f"another configuration's terrible-net keeps {standing.bridge} here; take it down first"
        )
    if standing.subnet != state.subnet:
        state.set_subnet(standing.subnet)
    if standing.subnet != plan.subnets[0]:
        print(f"{plan.subnets[0]} clashes with a route of this machine: the cluster is {standing.subnet}")
    print(f"{standing.bridge} is {standing.subnet}, the way out is {_way_out(standing.uplink)}")
    if standing.problem:
        print(f"but: {standing.problem}")
    return 0


def _way_out(uplink: str) -> str:
    if not uplink:
        return "missing: no default route"
    here = uplink in (name for _, name in socket.if_nameindex())
    return uplink if here else f"{uplink}, which is not on this machine: see uplink under [net]"


async def _up(path: Path, preferred: str) -> Standing:
    running = NetHelper(lock.directory() / "net.sock", path)
    await running.ensure()
    try:
        return await running.ask(NetRequest("apply", prefer=preferred))
    except HostError:
        await running.end_own()
        raise


def down(config: Path | None) -> int:
    """Take it down without a trace, whoever has set it up and however that has ended."""
    _need_root()
    _check_whose(config)
    path = lock.directory() / "net.sock"
    running = NetHelper(path)
    if asyncio.run(running.answers()):
        asyncio.run(running.ask(NetRequest("down")))
    else:
        path.unlink(missing_ok=True)  # of one that was killed
    deadline = time.monotonic() + END
    while True:
        try:
            with helper.own():
                if (before := applied()) is not None:
                    asyncio.run(take_down(before))
                forget()
                return 0
        except HostError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _check_whose(config: Path | None) -> None:
    """A configuration that is named says which network is meant."""
    before = applied()
    if config is not None and before is not None and netplan.plan(load(config)).bridge != before.bridge:
        raise HostError(f"{before.bridge} was set up with another configuration; name that, or none")


def show(config: Path | None) -> int:
    """A line for each slot: its interface, its addresses, and whether it answers."""
    plan = netplan.plan(load(config))
    standing = asyncio.run(_standing())
    subnet = standing.subnet or plan.subnets[0]
    answers = asyncio.run(_ask_all(plan, subnet))
    leases = Leases()
    where = standing.subnet or "is not up"
    print(f"{plan.bridge}  {where}  way out: {standing.uplink or 'none'}  *.{plan.domain}")
    for slot in plan.slots:
        interface = interfaces.at(slot.location)
        lease = leases.of(slot.mac)
        print(
            f"{slot.name:<12} {slot.location:<10} {interface.name if interface else '-':<16} {slot.mac}  "
            f"{addresses.address(subnet, slot.number):<15} {'leased' if lease else 'no lease':<8}  "
            f"{standing.conflicts.get(slot.number) or ('answers' if answers[slot.number] else 'no answer')}"
        )
    return 0


async def _standing() -> Standing:
    """What a helper says, if there is one."""
    path = lock.directory() / "net.sock"
    if RUN.exists() and os.geteuid() != 0 and not os.access(path, os.W_OK):
        raise HostError("only root and the user terrible may ask terrible-net; run this with sudo")
    try:
        async for standing in NetHelper(path).watch():
            return standing
    except HostError:
        pass
    return Standing()


async def _ask_all(plan: Plan, subnet: str) -> dict[int, bool]:
    asking = echo.Echo()
    try:
        asked = [asking.answers(addresses.address(subnet, slot.number), 1.0) for slot in plan.slots]
        answers = await asyncio.gather(*asked)
    finally:
        asking.close()
    return {slot.number: answer for slot, answer in zip(plan.slots, answers, strict=True)}


def install(config: Path | None) -> int:
    """Have the bridge and the gadgets of slots left alone by what else configures networks."""
    _need_root()
    plan = netplan.plan(load(config))
    for line in coexist.install(plan.bridge, plan.slots):
        print(line)
    return 0


def uninstall(config: Path | None) -> int:
    """Remove what `install` has written."""
    _need_root()
    for line in coexist.uninstall():
        print(line)
    return 0


def check(config: Path | None) -> int:
    """Each step from a slot to the internet, and where it breaks; 0 if nothing does."""
    from terrible.cli.health import network
    from terrible.cli.health.finding import Level

    plan = netplan.plan(load(config))
    level = Level.OK
    for finding in asyncio.run(network.findings(plan, asyncio.run(_standing()))):
        print(*finding.lines(), sep="\n")
        level = finding.level if finding.level is Level.ERROR else level
    return 1 if level is Level.ERROR else 0


def _named(config: Path | None) -> Path:
    if config is None:
        raise ConfigError("which configuration? Name a TOML file with --config or TERRIBLE_CONFIG")
    return config


def _need_root() -> None:
    if os.geteuid() != 0:
        raise HostError("this changes the network of this machine; run it as root")
