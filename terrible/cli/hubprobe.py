"""`terrible hubs --probe`: asks who would be hurt, probes one port, reports, and remembers the verdict."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from terrible import policy
from terrible.errors import HostError, PowerError
from terrible.model import Location, Slot, Stage, Verdict
from terrible.policy import Neighbour
from terrible.power.hub import HubControl
from terrible.power.probe import BACK, OFF, Probe
from terrible.power.prober import HubProber
from terrible.power.verdict import Observed
from terrible.seams import Bus, HubPort, Power
from terrible.state import State
from terrible.usb.bus import plugged_in

SYSFS = Path("/sys/bus/usb/devices")


@dataclass(frozen=True, slots=True)
class Machine:
    """This head: what is plugged in, how hubs are asked and ports switched, and what is remembered.

    `prober` finds out afresh, whatever `power` goes by.
    """

    bus: Bus
    control: HubControl
    power: Power
    slots: list[Slot]
    state: State
    prober: HubProber


async def probe(machine: Machine, location: Location, tell: Callable[[str], None], *, force: bool) -> Verdict:
    """Probe the best backend and, while one does not work, the next; what is remembered of them.

    `tell` is given the lines for people. HostError where nothing switches the port, or nobody may.
    """
    trial = await _first(machine, location)
    while True:
        refuse(machine, location, trial.port, force=force)
        by = trial.port.backend
        tell(f"probing {location} by {by}: {OFF:.0f} s off, then up to {BACK:.0f} s to come back")
        _hangup_is_cancel()
        seen, found = await trial.run(), trial.verdict()
        for line in report(location, seen, found):
            tell(line)
        following = None if found["works"] else await machine.prober.trial(location, found)
        if following is None:
            machine.state.set_verdict(location, found)
            return found
        trial = following


async def _first(machine: Machine, location: Location) -> Probe:
    try:
        trial = await machine.prober.trial(location, None)
    except PowerError as error:
        raise HostError(str(error)) from None
    assert trial is not None, "there is always a first, or a reason"
    return trial


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


def report(location: str, seen: Observed, found: Verdict) -> list[str]:
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
