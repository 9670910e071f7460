"""Which switch of a port is to be probed next, whatever earlier probes said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from terrible.errors import PowerError
from terrible.model import Location, Verdict
from terrible.power.hub import HubControl
from terrible.power.probe import Probe, Witness
from terrible.power.topology import Topology
from terrible.seams import Bus, Power


class Verdicts:
    """What counts when a switch is chosen: what is remembered of the port, but of one that is to be probed
    only what this very probe has found.
    """

    def __init__(self, remembered: Callable[[Location], Verdict | None]) -> None:
        self._remembered = remembered
        self._afresh: dict[Location, Verdict] = {}

    def of(self, location: Location) -> Verdict | None:
        """What is known of this port."""
        return self._afresh.get(location) or self._remembered(location)

    @contextmanager
    def only(self, location: Location, found: Verdict) -> Iterator[None]:
        """Know nothing else of this port as long as the block."""
        self._afresh[location] = found
        try:
            yield
        finally:
            del self._afresh[location]


class HubProber:
    """The `Prober` of this machine; `power` chooses by `verdicts`."""

    def __init__(
        self,
        power: Power,
        verdicts: Verdicts,
        control: HubControl,
        topology: Topology,
        bus: Bus,
        witness: Witness,
    ) -> None:
        self._power, self._verdicts = power, verdicts
        self._control, self._topology, self._bus, self._witness = control, topology, bus, witness

    async def trial(self, location: Location, before: Verdict | None) -> Probe | None:
        """The best switch is probed first. `before` is what was found of the last one, and before it."""
        failed = _failed(before)
        with self._verdicts.only(location, {"others": failed}):
            port = await self._power.port(location)
        if not failed and not port.affects():
            raise PowerError(port.why)
        if not port.affects() or port.backend in [found["backend"] for found in failed]:
            return None
        return Probe(location, port, self._control, self._topology, self._bus, self._witness, failed)


def _failed(found: Verdict | None) -> list[Verdict]:
    """Every verdict by itself, the latest first."""
    if found is None:
        return []
    return [{key: value for key, value in found.items() if key != "others"}, *found.get("others", ())]
