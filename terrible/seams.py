"""The boundary of the core: what boot, slot, agent and policy may ask of the world.

Each has a real and a simulated implementation; only the composition root (`cli.assemble`) knows which.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from terrible.model import (
    Answer,
    CardNews,
    Event,
    Info,
    Location,
    NetworkNews,
    Progress,
    Report,
    Request,
    Slot,
    Stage,
    Transcript,
    Verdict,
)
from terrible.usb.identify import Descriptors

News = Info | Report | Event | Progress | Transcript


class Link(Protocol):
    """An open boot device. A transfer raises DeviceLeft when the device is gone, else BootError."""

    async def control_out(self, value: int, index: int, limit: float) -> None:
        """Vendor control OUT, request 0, without data."""

    async def control_in(self, length: int, limit: float) -> bytes:
        """Vendor control IN, request 0; one read that is never cancelled and reissued."""

    async def bulk_out(self, data: bytes | bytearray, stall: float, sent: Callable[[int], None]) -> None:
        """Send all of `data`, telling `sent` of each piece; BootError if none moves for `stall` seconds."""


class Device(Protocol):
    """One device from its arrival until it leaves; the next stage of a boot is another device."""

    @property
    def location(self) -> Location:
        """The port it sits on."""

    @property
    def descriptors(self) -> Descriptors:
        """What it says of itself."""

    @property
    def stage(self) -> Stage:
        """What it is to a boot."""

    @property
    def gone(self) -> bool:
        """Whether it has left the bus."""

    async def left(self) -> None:
        """Return once it has left the bus."""

    def open(self) -> AbstractAsyncContextManager[Link]:
        """Open it and claim its boot interface; closed only with nothing in flight."""


class Bus(Protocol):
    """All USB ports of the head."""

    def arrivals(self) -> AsyncIterator[Device]:
        """Every device, first what is already plugged in; ordered at each location."""

    def present(self) -> Collection[Device]:
        """What is plugged in now, Pis and others."""


class HubPort(Protocol):
    """The power switch of one location."""

    @property
    def backend(self) -> str:
        """How it is switched: `sysfs`, `hub`, `none`, …"""

    @property
    def why(self) -> str:
        """Why this backend was chosen for this location, or why there is none: one sentence for people."""

    def affects(self) -> frozenset[Location]:
        """Every location that loses power with this one, itself included; empty if it cannot switch."""

    async def switch(self, on: bool) -> None:
        """Switch and verify; PowerError when the port cannot or did not."""

    async def powered(self) -> bool | None:
        """Whether the port has power now; None where nobody can tell."""


class Power(Protocol):
    """Finds the power switch of a location."""

    async def port(self, location: Location) -> HubPort:
        """The best switch that works there; one whose `affects` is empty where there is none."""


class Trial(Protocol):
    """The probe of one switch: `off`, `on` and `back`, once each. What ends it early switches nothing."""

    @property
    def port(self) -> HubPort:
        """The switch that is probed."""

    async def off(self) -> bool:
        """Switch it off and watch it for a while; False where nothing shows that what sits there is gone."""

    async def on(self) -> bool:
        """Switch it on again, whose turn it is; whether it has power."""

    async def back(self) -> Verdict:
        """Watch what comes back, for a while; what is to be remembered of it all."""


class Prober(Protocol):
    """Finds out what switching a location's power really does."""

    async def trial(self, location: Location, before: Verdict | None) -> Trial | None:
        """Of the best switch there, whatever is remembered of it; after one that did not work, of the next.

        None where none is left, PowerError with the reason where there never was one.
        """


class Shutdown(Protocol):
    """Asks a node to end in order before its power is cut."""

    async def shut_down(self, slot: Slot) -> None:
        """Return once the node has been told; BootError where it could not be. The caller limits the wait."""


class Alarms(Protocol):
    """What the hardware complains about by itself."""

    def overcurrents(self) -> AsyncIterator[Location]:
        """Every port that drew too much, each time it did, from now on; it never ends by itself."""

    def undervoltage(self) -> str:
        """Why the head's own supply is too weak now, one sentence; empty where it is not, or cannot tell."""


class Network(Protocol):
    """The link from the head to a node that runs."""

    async def reachable(self, slot: Slot, device: Device, passed: Callable[[str], None]) -> tuple[str, ...]:
        """Return the node's addresses once it answers, `passed` told of each step; limited by the caller."""

    async def lost(self, slot: Slot) -> None:
        """Return when a node that was reachable no longer answers."""

    def news(self) -> AsyncIterator[NetworkNews]:
        """How the network stands, whole, now and whenever that has changed; it never ends by itself."""


class Card(Protocol):
    """The card of one slot, open and nobody else's."""

    @property
    def slot(self) -> str:
        """The slot it sits in."""


class Disks(Protocol):
    """Writing the cards of nodes that show themselves as disks."""

    async def check(self, image: str) -> None:
        """HostError where there is no image of this name, or cards cannot be written at all."""

    async def look(self, image: str) -> None:
        """HostError where it can be seen beforehand that nothing whole would come of it."""

    def open(self, slot: Slot) -> AbstractAsyncContextManager[Card]:
        """The card at the slot's location, and no other disk; BootError where it is not safe to write."""

    def write(self, image: str, cards: Sequence[Card]) -> AsyncIterator[CardNews]:
        """Write the image to all of them at once and verify each; one that fails stops no other.

        HostError, before any of them is touched, where this machine lacks something for it.
        """


class Broker(Protocol):
    """Where news goes and wishes come from. Telling never waits; the newest of its kind wins."""

    def tell(self, news: News) -> None:
        """Publish, now or when the broker is back."""

    def answer(self, request: Request, answer: Answer) -> None:
        """Answer a request; several answers are allowed."""

    def requests(self) -> AsyncIterator[Request]:
        """What people ask for, checked for form only."""

    async def run(self) -> None:
        """Keep connected until cancelled, then say `offline`."""
