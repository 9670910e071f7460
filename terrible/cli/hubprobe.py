"""`terrible hubs --probe`: asks who would be hurt, probes one port, reports, and remembers the verdict."""

from __future__ import annotations

import asyncio
import platform
import signal
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrible import policy
from terrible.model import HostError, Location, Slot, Stage
from terrible.policy import Neighbour
from terrible.power.hub import HubControl
from terrible.power.probe import BACK, OFF, Answers, Probe
from terrible.power.topology import Topology
from terrible.power.verdict import Observed, remembered
from terrible.seams import Bus, HubPort, Power
from terrible.state import State
from terrible.usb.bus import plugged_in

SYSFS = Path("/sys/bus/usb/devices")


@dataclass(frozen=True, slots=True)
class Machine:
    """This head: what is plugged in, how hubs are asked and ports switched, and what is remembered.

    `findings` is what this run has found out; `power` passes over a backend that did not work there.
    """

    bus: Bus
    control: HubControl
    power: Power
    slots: list[Slot]
    state: State
    topology: Topology
    answers: Answers
    findings: State


async def probe(
    machine: Machine, location: Location, tell: Callable[[str], None], *, force: bool
) -> dict[str, Any]:
    """Probe the best backend and, while one does not work, the next; what is remembered of the last.

    What failed before it is kept in it as `others`. `tell` is given the lines for people. HostError where
    nothing switches the port, or it may not be switched.
    """
    found: dict[str, dict[str, Any]] = {}
    while (port := await machine.power.port(location)).backend not in found and port.affects():
        refuse(machine, location, port, force=force)
        tell(f"probing {location} by {port.backend}: {OFF:.0f} s off, then up to {BACK:.0f} s to come back")
        found[port.backend], lines = await _probed(machine, location, port)
        for line in lines:
            tell(line)
        if found[port.backend]["works"]:
            break
        machine.findings.set_verdict(location, found[port.backend])
    if not found:
        raise HostError(port.why)
    *others, last = found.values()
    kept = {**last, "others": others} if others else last
    machine.state.set_verdict(location, kept)
    return kept


async def _probed(machine: Machine, location: Location, port: HubPort) -> tuple[dict[str, Any], list[str]]:
    work = Probe(location, port, machine.control, machine.topology, machine.bus, machine.answers)
    _hangup_is_cancel()
    seen = await work.run()
    found = remembered(seen, time.time(), platform.release())
    return found, report(location, seen, found)


# -- who would be hurt --------------------------------------------------------------------------------


def refuse(machine: Machine, location: Location, port: HubPort, *, force: bool) -> None:
    """HostError that names who else would lose power, or who runs at the port itself."""
    names = {slot.location: slot.name for slot in machine.slots}
    around = neighbours(machine.bus, names, plugged_in(SYSFS))
    if hurt := protected(location, port.affects(), around, force=True):
        raise HostError(
            f"{location} is not switched: that would cut the power of {', '.join(hurt)}; "
            "unplug what is no Pi first (--force does not override this)"
        )
    if hurt := protected(location, port.affects(), around, force=force):
        raise HostError(
            f"{location} is not switched: that would cut the power of {', '.join(hurt)}, which may run; "
            "shut it down first, or say --force"
        )


def neighbours(bus: Bus, names: Mapping[Location, str], there: Collection[Location]) -> list[Neighbour]:
    """Everything on the bus. What only the kernel knows of is as good as a device that is no Pi."""
    seen = {device.location: device.stage for device in bus.present()}
    unknown = {location: Stage.OTHER for location in there if location not in seen}
    return [Neighbour(at, stage, names.get(at, "")) for at, stage in sorted({**seen, **unknown}.items())]


def protected(
    location: Location, affects: Collection[Location], around: list[Neighbour], *, force: bool
) -> list[str]:
    """Who decision 9 protects, and the node at the port itself: a probe shuts nothing down before it cuts."""
    own = [each for each in around if each.location == location and each.stage in (Stage.GADGET, Stage.DISK)]
    running = [] if force else [f"{each.name or 'the node'} at {location}" for each in own]
    return [*running, *policy.hurt(location, affects, around, force=force)]


# -- what is said -------------------------------------------------------------------------------------


def report(location: str, seen: Observed, found: Mapping[str, Any]) -> list[str]:
    """What happened to one port, line by line, and the verdict last."""
    rows = {
        "backend": seen.backend,
        "before": seen.before.name if seen.before else "nothing known to be plugged in",
        "status bit": "never cleared" if seen.off is None else f"cleared after {seen.off:.1f} s",
        "device": _device(seen),
        "kernel": "kept the dead device listed" if seen.lingering else "keeps no dead device listed",
        "re-powered": "no" if seen.repowered is None else f"by the kernel after {seen.repowered:.1f} s",
        "back": _back(seen),
        "verdict": found["sentence"],
    }
    return [f"{location}  {name:<11} {told}" for name, told in rows.items()]


def _device(seen: Observed) -> str:
    if seen.before is None:
        return "-"
    if seen.gone is not None:
        return f"gone after {seen.gone:.1f} s"
    return "kept answering" if seen.answered else "stayed listed; nobody may ask it"


def _back(seen: Observed) -> str:
    if seen.back is None:
        return "-" if seen.before is None else "not yet"
    return f"after {seen.back:.1f} s as {seen.after.name if seen.after else 'something unknown'}"


def _hangup_is_cancel() -> None:
    """A terminal that closes must not leave a port dark: take SIGHUP like Ctrl-C from now on."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, task.cancel)
