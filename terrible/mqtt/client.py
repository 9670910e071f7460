"""The `Broker` seam over MQTT: keeps connected, publishes what is told, reads what is asked.

One connection lives in one TaskGroup; whatever fails ends it, and the next one publishes the whole
tree again. Nothing here can stop a boot: telling only fills the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable

import aiomqtt

from terrible.model import Answer, Event, Info, Progress, Report, Request
from terrible.mqtt import payloads
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.commands import Commands, Refusal
from terrible.mqtt.connection import Connection
from terrible.mqtt.ending import end, in_peace, within
from terrible.mqtt.outbox import Key, Outbox
from terrible.mqtt.pace import Pace
from terrible.mqtt.payloads import Publication
from terrible.mqtt.roster import Roster
from terrible.mqtt.topics import COMMANDS, OF_A_SLOT, Topics
from terrible.seams import News

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between tries, give or take a quarter; the last one for ever."""
_SETTLED = 5.0
"""Seconds after which a connection counts as good. Two agents of one name end each other's at once."""
_UNDER_WAY = 8
"""Publications sent and not yet confirmed; aiomqtt warns above 10."""
_REQUESTS = 100
_FOUND = 4096
_GOODBYE = 0.4
"""Seconds for each of: ending what is under way, `offline`, the disconnect."""
_LAST_NEWS = 1.5
"""Seconds for what still waits to be published; 120 slots that go off are 240 messages."""

log = logging.getLogger(__name__)


class MqttBroker:
    """Publishes and obeys for one cluster. `session` is the agent's, new at every start."""

    def __init__(self, address: BrokerAddress, cluster: str, session: str) -> None:
        self._address = address
        self._topics = Topics(cluster)
        self._session = session
        self._commands = Commands(self._topics)
        self._outbox = Outbox(self._topics)
        self._roster = Roster(self._topics)
        self._pace = Pace(self._publish)
        self._found: set[str] = set()
        self._requests: asyncio.Queue[Request] = asyncio.Queue(_REQUESTS)
        self._connected = False
        self._noted = ""
        self._outbox.put(payloads.status(True, self._topics))

    # -- the agent's side -------------------------------------------------------------------

    def tell(self, news: News) -> None:
        """Publish, now or when the broker is back."""
        if isinstance(news, Progress):
            if self._connected:
                self._pace.tell(news)
            return
        self._publish(news)
        if isinstance(news, Report):
            self._pace.forget(news.slot.name)
        if isinstance(news, Info | Report):
            self._outbox.put(self._roster.learn(news))
        if isinstance(news, Info):
            self._clear_gone([*self._found, *self._outbox.tree])

    def answer(self, request: Request, answer: Answer) -> None:
        """Answer a request. A plain word is answered by what follows from it, or by an event."""
        if request.id is not None:
            self._outbox.put(payloads.response(request, answer, self._topics))
        elif answer.status == "error" and (slot := self._roster.slot(request.slots)):
            data = {"code": answer.code, "action": request.action}
            self.tell(Event(slot, "refused", answer.message, data))

    async def requests(self) -> AsyncIterator[Request]:
        """What people ask for, checked for form only."""
        while True:
            yield await self._requests.get()

    async def run(self) -> None:
        """Keep connected until cancelled, then say `offline`."""
        tries = 0
        while True:
            began = time.monotonic()
            await self._connection()
            if self._connected:
                tries = 0 if time.monotonic() - began > _SETTLED else min(tries, PAUSES.index(1.0))
            self._connected = False
            self._pace.stop()
            await asyncio.sleep(PAUSES[tries] * random.uniform(0.75, 1.25))
            tries = min(tries + 1, len(PAUSES) - 1)

    # -- the broker's side ------------------------------------------------------------------

    async def _connection(self) -> None:
        """One connection from beginning to end; only a cancellation goes through.

        It talks in a task of its own, because a TaskGroup may drop a cancellation that comes together
        with an error, or leave its task marked as cancelled when it was not (Python 3.11).
        """
        offline = payloads.status(False, self._topics)
        try:
            connection = Connection(self._address, f"terrible-{self._topics.cluster}", offline)
        except OSError as error:  # aiomqtt 2.3.1 reads the CA file here
            self._note(logging.WARNING, f"cannot connect to {self._address}: {error}")
            return
        talking = asyncio.create_task(self._talk(connection), name="mqtt connection")
        try:
            await asyncio.wait([talking])
        except asyncio.CancelledError:
            await in_peace(self._leave(connection, talking, offline))
            raise
        self._lost(None if talking.cancelled() else talking.exception())
        await in_peace(within(_GOODBYE, connection.close()))

    async def _leave(self, connection: Connection, talking: asyncio.Task[None], offline: Publication) -> None:
        await within(_GOODBYE, end(talking))
        await within(_LAST_NEWS, self._last_news(connection))
        await within(_GOODBYE, connection.send(offline))
        await within(_GOODBYE, connection.close())

    def _lost(self, failed: BaseException | None) -> None:
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
        if isinstance(failed, (aiomqtt.MqttError, OSError)):
            self._note(logging.WARNING, f"no broker at {self._address}: {failed}; trying on")
        else:
            log.error("an error of ours while connected to %s; trying on", self._address, exc_info=failed)

    async def _talk(self, connection: Connection) -> None:
        await connection.open()
        self._connected = True
        self._note(logging.INFO, f"connected to the broker at {self._address}")
        own = [self._topics.every(kind) for kind in OF_A_SLOT]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(connection), name="mqtt receive")
            await connection.listen([self._topics.every(kind) for kind in COMMANDS], qos=1)
            await connection.listen(own, qos=0)
            self._outbox.refill()
            await self._send(connection, until_empty=True)
            # By now the broker has shown what it had retained of our slots, and the echo of the tree.
            await connection.ignore(own)
            await self._send(connection, until_empty=False)

    async def _send(self, connection: Connection, until_empty: bool) -> None:
        """Publish in order, a few under way at once: one at a time would wait for each confirmation."""
        free = asyncio.Semaphore(_UNDER_WAY)
        async with asyncio.TaskGroup() as under_way:
            while len(self._outbox) or not until_empty:
                await free.acquire()
                key, publication = await self._outbox.take()
                under_way.create_task(self._send_one(connection, free, key, publication))

    async def _send_one(
        self, connection: Connection, free: asyncio.Semaphore, key: Key, publication: Publication
    ) -> None:
        await connection.send(publication)
        self._outbox.confirm(key, publication)
        free.release()

    async def _receive(self, connection: Connection) -> None:
        async for message in connection.messages:
            topic, retained = message.topic.value, bool(message.retain)
            parsed = self._topics.parse(topic)
            if parsed and parsed[0] in OF_A_SLOT:
                if retained and len(self._found) < _FOUND:
                    self._found.add(topic)
                    self._clear_gone([topic])
            else:
                self._obey(self._commands.read(topic, bytes(message.payload), retained))

    def _obey(self, found: Request | Refusal | None) -> None:
        if isinstance(found, Refusal):
            self.answer(found.request, Answer("error", code=found.code, message=found.message))
        elif found is not None:
            try:
                self._requests.put_nowait(found)
            except asyncio.QueueFull:
                self.answer(found, Answer("error", code="busy", message="too many requests wait already"))

    async def _last_news(self, connection: Connection) -> None:
        await connection.open()
        self._outbox.take_back()
        await self._send(connection, until_empty=True)

    def _publish(self, news: News) -> None:
        for publication in payloads.publications(news, self._topics, self._session, time.time()):
            self._outbox.put(publication)

    def _clear_gone(self, topics: Iterable[str]) -> None:
        for topic in self._roster.gone(topics):
            self._outbox.put(Publication(topic, b""))
            self._found.discard(topic)

    def _note(self, level: int, state: str) -> None:
        if state != self._noted:
            self._noted = state
            log.log(level, "%s", state)
