"""Decisions as pure functions: retry when, give up when, who may start now, what may be cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from terrible.limits import Limits
from terrible.model import RUNNING, Location, Phase, Stage

HOUR = 3600.0


def pause(failures: int, limits: Limits) -> float:
    """Seconds to leave a slot alone after its n-th failure in a row (n from 1)."""
    return limits.pauses[min(failures, len(limits.pauses)) - 1] if limits.pauses else 0.0


def gives_up(failures: int, limits: Limits) -> bool:
    """Whether the attempts are spent: the slot is quarantined."""
    return failures >= limits.attempts


def settle(flaps: int) -> float:
    """Seconds to let a port settle whose device left n times in mid-boot: a bad plug must not flood."""
    return 0.0 if flaps < 2 else min(0.25 * 2 ** min(flaps, 10), 10.0)


def insist(refusals: int) -> float:
    """Seconds until a cut that was refused so often in a row is tried again."""
    return float(min(2 ** min(refusals, 8), 300)) if refusals else 0.5


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A location that may lose power with another: what it shows, and its slot's name, phase and wish.

    `awaited`: it has power for so short a time that a Pi may yet show up.
    """

    location: Location
    stage: Stage | None
    name: str = ""
    phase: Phase | None = None
    wanted: bool = True
    awaited: bool = False


def hurt(
    own: Location,
    affects: Iterable[Location],
    neighbours: Iterable[Neighbour],
    *,
    force: bool = False,
    for_good: bool = False,
) -> list[str]:
    """Who else would be hurt by cutting `own`'s power: running nodes, and whatever is no Pi.

    Where it is cut `for_good`, nodes that boot are hurt as well; a short cut only makes them start over.
    A node that is wished off is not hurt, else nobody of a gang could ever be switched off.

    Empty means that it may be cut. A keyboard, a network adapter, a disk are all OTHER; so is one behind
    a hub, since a location holds all that sit behind it. `force` gives up other nodes, nothing else.
    """
    cut = list(affects)
    return [
        _describe(neighbour)
        for neighbour in neighbours
        if any(location.holds(neighbour.location) for location in cut)
        and _suffers(own, neighbour, force=force, for_good=for_good)
    ]


def _suffers(own: Location, neighbour: Neighbour, *, force: bool, for_good: bool) -> bool:
    if neighbour.stage is Stage.OTHER:
        return True
    if force or neighbour.location == own or not neighbour.wanted:
        return False
    if for_good and _boots(neighbour):
        return True
    return neighbour.phase in RUNNING or neighbour.stage in (Stage.GADGET, Stage.DISK)


def _boots(neighbour: Neighbour) -> bool:
    """Whether a boot is under way or about to be: two Pis of a gang show up in the same moment."""
    about_to = neighbour.awaited or neighbour.stage is not None
    return neighbour.phase in (Phase.ROM, Phase.LOADING) or (neighbour.phase is Phase.WAITING and about_to)


def _describe(neighbour: Neighbour) -> str:
    if neighbour.stage is Stage.OTHER:
        return f"a device that is no Pi at {neighbour.location}"
    return f"{neighbour.name or 'a node'} at {neighbour.location}"


@dataclass
class Schedule:
    """Who may be powered on now. Times are seconds of a monotonic clock; it keeps none itself."""

    limits: Limits
    cold: set[str] = field(default_factory=set)
    _last_start: float = float("-inf")
    _cycles: dict[str, deque[float]] = field(default_factory=dict)
    _dark: dict[str, float] = field(default_factory=dict)

    def rest(self, name: str, now: float, cycle: bool) -> float:
        """Seconds until `name` may have power again; 0 is now.

        It stays dark for the off time, so that its capacitors empty; as a cycle, it also waits for its
        share of the hour.
        """
        times = [now, self._lit_from(name)]
        past = self._cycles.get(name)
        if cycle and past:
            times.append(past[-1] + self.limits.cycle_every)
            if len(past) >= self.limits.cycles_per_hour:
                times.append(past[0] + HOUR)
        return max(times) - now

    def _lit_from(self, name: str) -> float:
        return self._dark.get(name, float("-inf")) + self.limits.off_time

    def cut(self, name: str, now: float) -> None:
        """`name` lost its power now."""
        self._dark[name] = now

    def wait(self, name: str, now: float) -> float | None:
        """Seconds until one more port may be powered on: 0 is now, None is when a cold boot ends.

        The boot that it waited for may have ended with a cut of its own port: that is dark for its time, too.
        """
        if name not in self.cold and len(self.cold) >= self.limits.cold_boots:
            return None
        return max(0.0, self._last_start + self.limits.stagger - now, self._lit_from(name) - now)

    def start(self, name: str, now: float, cycle: bool) -> None:
        """`name` is powered on now and boots cold."""
        self._last_start = now
        self.cold.add(name)
        if cycle:
            past = self._cycles.setdefault(name, deque(maxlen=max(1, self.limits.cycles_per_hour)))
            past.append(now)

    def end(self, name: str) -> None:
        """Its cold boot is over, however it ended."""
        self.cold.discard(name)
