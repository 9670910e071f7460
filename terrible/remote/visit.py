"""One visit to a broker: ask, listen, wait for what is to come, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import aiomqtt

from terrible.errors import HostError
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.connection import Connection
from terrible.mqtt.ending import uninterrupted
from terrible.mqtt.payloads import Publication
from terrible.remote.bell import Bell
from terrible.remote.line import CONFIRM, Unreachable, entered

QUIET = 0.3
"""Seconds without a message after which a broker has told what it retains: it sends that in one go."""
MOST = 3.0
"""Seconds to wait for that quiet, where messages never end."""

Take = Callable[[str, bytes], object]


class Visit:
    """A connection, and those who take in what comes by it. Once it breaks, every wait is Unreachable."""

    def __init__(self, address: BrokerAddress, connection: Connection) -> None:
        self.address = address
        self._connection = connection
        self._takers: list[Take] = []
        self._bell = Bell()
        self._broken = ""

    async def listen(self, filters: Sequence[str], take: Take) -> None:
        """Give `take` topic and payload of every message from now on, those others asked for as well."""
        self._takers.append(take)
        async with self._prompt():
            refused = await self._connection.listen(filters, qos=1)
        if refused:
            raise HostError(
                f"the broker at {self.address} does not let this user read {', '.join(refused)}; "
                "its rights are set at the broker"
            )

    async def ignore(self, filters: Sequence[str], take: Take) -> None:
        """No more of these."""
        self._takers.remove(take)
        async with self._prompt():
            await self._connection.ignore(filters)

    async def send(self, publication: Publication) -> None:
        """Return once the broker has it. HostError where it says that this user may not."""
        async with self._prompt():
            await uninterrupted(self._connection.send(publication))
        if self._connection.refusal:
            raise HostError(
                f"the broker at {self.address} does not let this user write to {publication.topic} "
                f"({self._connection.refusal}); its rights are set at the broker"
            )

    async def until(self, condition: Callable[[], bool], limit: float | None) -> bool:
        """Wait for the condition, which messages bring about; whether it came within `limit` seconds."""
        now = asyncio.get_running_loop().time
        end = None if limit is None else now() + limit
        while not condition():
            if self._broken:
                raise Unreachable(
                    f"the broker at {self.address} has gone: {self._broken}; is it still running?"
                )
            left = None if end is None else end - now()
            if left is not None and left <= 0:
                return False
            await self._bell.heard(left)
        return True

    async def quiet(self) -> None:
        """Wait until the broker has told what it retains."""
        end = asyncio.get_running_loop().time() + MOST
        while asyncio.get_running_loop().time() < end and await self._bell.heard(QUIET):
            pass

    async def read(self) -> None:
        """Take in messages until cancelled, or until the connection ends."""
        try:
            async for message in self._connection.messages:
                for take in self._takers:
                    take(message.topic.value, bytes(message.payload))
                self._bell.ring()
        except (aiomqtt.MqttError, OSError) as error:
            self._broken = str(error)
            self._bell.ring()

    @asynccontextmanager
    async def _prompt(self) -> AsyncIterator[None]:
        """A broker that stands still is as good as none."""
        try:
            async with asyncio.timeout(CONFIRM):
                yield
        except TimeoutError:
            raise Unreachable(
                f"the broker at {self.address} has not answered for {CONFIRM:g} s; is it frozen?"
            ) from None


@asynccontextmanager
async def visiting(address: BrokerAddress, name: str) -> AsyncIterator[Visit]:
    """A visit for the length of the block; Unreachable where the broker is not there or refuses us."""
    async with entered(address, name) as connection:
        visit = Visit(address, connection)
        reading = asyncio.create_task(visit.read(), name=f"{name} visit")
        try:
            yield visit
        finally:
            reading.cancel()
            await asyncio.wait({reading})
