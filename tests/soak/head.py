"""A real agent over simulated Pis, in virtual time, and a soak's view of it without a broker between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from terrible.limits import Limits
from terrible.model import Info
from terrible.mqtt import payloads
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Kind
from terrible.sim.cluster import SimCluster
from terrible.soak.record import Cycle
from terrible.soak.run import Book, Plan, choose, meet, soak
from terrible.soak.view import View
from tests.cluster import MemoryBroker, boot_directory, cluster

CLUSTER = "test"
OFTEN = Limits(cycles_per_hour=1000)


class DirectHead:
    """Takes requests to the agent at once; `lost` of them get lost on the way."""

    def __init__(self) -> None:
        self.view = View(CLUSTER)
        self.broker: MemoryBroker | None = None
        self.asked: list[tuple[str, str]] = []
        self.lost = 0
        self.connected = True
        self._retained: dict[str, bytes] = {}

    async def ask(self, slot: str, number: str, force: bool) -> bool:
        self.asked.append((slot, number))
        if self.lost or not self.connected:
            self.lost -= self.connected
        elif self.broker is not None:
            self.broker.ask("power", slot, "cycle", force, number)
        return self.connected

    def disconnect(self) -> None:
        """Nothing more is heard, and nothing can be asked."""
        self.connected = False
        self.view.cut_off()

    def reconnect(self) -> None:
        """As on a new subscription: whatever is retained comes again."""
        self.connected = True
        self.view.take(self.view.topics.of(Kind.STATUS), b"online")
        for topic, payload in self._retained.items():
            self.view.take(topic, payload)

    def _bring(self, publication: Publication) -> None:
        if publication.retain:
            self._retained[publication.topic] = publication.payload
        if self.connected:
            self.view.take(publication.topic, publication.payload)

    async def follow(self, broker: MemoryBroker, session: str) -> None:
        """Bring what an agent says, as its MQTT client would put it."""
        self.broker = broker
        heard = [0, 0]
        while True:
            for one in broker.news[heard[0] :]:
                own = replace(one, session=session) if isinstance(one, Info) else one
                for publication in payloads.publications(own, self.view.topics, session, 0.0):
                    self._bring(publication)
            for request, answer in broker.answers[heard[1] :]:
                self._bring(payloads.response(request, answer, self.view.topics))
            heard[:] = [len(broker.news), len(broker.answers)]
            await broker.until(lambda: [len(broker.news), len(broker.answers)] != heard)


@asynccontextmanager
async def agent(
    head: DirectHead, base: Path, sim: SimCluster, session: str = "session"
) -> AsyncIterator[None]:
    """An agent that is online for the length of the block."""
    status = head.view.topics.of(Kind.STATUS)
    async with cluster(boot_directory(base / "boot"), [], limits=OFTEN, sim=sim) as rig:
        following = asyncio.create_task(head.follow(rig.broker, session))
        head.view.take(status, b"online")
        try:
            yield
        finally:
            following.cancel()
            head.view.take(status, b"offline")


async def soaked(head: DirectHead, plan: Plan, book: Book | None = None) -> Book:
    """A whole soak of what the agent has."""
    book = book or Book(lambda cycle: None)
    info = await meet(head.view, CLUSTER)
    await soak(head, choose(plan, head.view, info), plan, book)
    return book


def of(book: Book, slot: str) -> list[Cycle]:
    return [cycle for cycle in book.cycles if cycle.slot == slot]


def plan(cycles: int | None, pattern: str = "all", hours: float | None = None, force: bool = False) -> Plan:
    return Plan(pattern, cycles, hours, force)
