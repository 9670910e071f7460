"""The client as an agent runs it: a task, and the requests that came out of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from terrible.model import Request
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.client import MqttBroker
from terrible.mqtt.homeassistant import OFF, Discovery
from terrible.mqtt.payloads import publications
from terrible.mqtt.topics import Topics
from terrible.seams import News

from .brokers import Observer, stopped
from .examples import BASE, CLUSTER, INFO, SESSION, reports


class Agent:
    """Runs an MqttBroker and collects what is asked of it."""

    def __init__(
        self,
        where: int | BrokerAddress,
        discovery: Discovery = OFF,
        cluster: str = CLUSTER,
        session: str = SESSION,
    ) -> None:
        address = BrokerAddress("127.0.0.1", where) if isinstance(where, int) else where
        self.broker = MqttBroker(address, cluster, session, discovery)
        self.asked: list[Request] = []
        self.task = asyncio.create_task(self.broker.run())
        self.collecting = asyncio.create_task(self._collect())

    def tell(self, *news: News) -> None:
        for one in news:
            self.broker.tell(one)

    async def stop(self) -> float:
        """Cancel both; return how long run() took to end."""
        await stopped(self.collecting)
        return await stopped(self.task)

    async def _collect(self) -> None:
        async with contextlib.aclosing(self.broker.requests()) as requests:  # type: ignore[type-var]
            async for request in requests:
                self.asked.append(request)


@contextlib.asynccontextmanager
async def agent(where: int | BrokerAddress, *news: News, discovery: Discovery = OFF) -> AsyncIterator[Agent]:
    running = Agent(where, discovery)
    running.tell(*news)
    try:
        yield running
    finally:
        assert await running.stop() < 2.0


def tree(*news: News, online: bool = True) -> dict[str, bytes]:
    """What the broker must hold after that news, but for the summary."""
    held = {p.topic: p.payload for one in news for p in publications(one, Topics(CLUSTER), SESSION, 0.0)}
    return {f"{BASE}/status": b"online" if online else b"offline", **held}


def holds(observer: Observer, expected: dict[str, bytes]) -> bool:
    """Whether the broker holds exactly that; the summary is for a test of its own."""
    return {t: p for t, p in observer.held.items() if t != f"{BASE}/summary"} == expected


ALL_UP: tuple[News, ...] = (INFO, *reports())
WHOLE = len(tree(*ALL_UP)) + 1
"""Topics of that tree, with the summary."""
