"""The `Broker` seam over MQTT: keeps connected, publishes what is told, reads what is asked.

One connection lives in one TaskGroup; whatever fails ends it, and the next one publishes the whole
tree again. Nothing here can stop a boot: telling only fills the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence

from terrible.model import Answer, Event, Info, Progress, Report, Request, Transcript
from terrible.mqtt import answers, payloads
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.commands import Commands, Refusal
from terrible.mqtt.connection import Connection, read
from terrible.mqtt.homeassistant import OFF, Discovery, HomeAssistant
from terrible.mqtt.keeper import Keeper
from terrible.mqtt.outbox import Outbox
from terrible.mqtt.pace import Pace
from terrible.mqtt.payloads import Publication
from terrible.mqtt.roster import Roster
from terrible.mqtt.sending import send
from terrible.mqtt.topics import COMMANDS, OF_A_SLOT, Topics
from terrible.seams import News

_REQUESTS = 100
_FOUND = 4096

log = logging.getLogger(__name__)


class MqttBroker:
    """Publishes and obeys for one cluster. `session` is the agent's, new at every start."""

    def __init__(
        self, address: BrokerAddress, cluster: str, session: str, discovery: Discovery = OFF
    ) -> None:
        self._topics = Topics(cluster)
        self._session = session
        self._commands = Commands(self._topics)
        self._outbox = Outbox(self._topics)
        self._roster = Roster(self._topics)
        self._home = HomeAssistant(discovery, self._topics, self._outbox)
        self._pace = Pace(self._publish)
        self._found: set[str] = set()
        self._requests: asyncio.Queue[Request] = asyncio.Queue(_REQUESTS)
        self._keeper = Keeper(address, self._topics, session, self._talk, self._last_news)
        self._outbox.put(payloads.status(True, self._topics))

    # -- the agent's side -------------------------------------------------------------------

    def tell(self, news: News) -> None:
        """Publish, now or when the broker is back."""
        if isinstance(news, Progress):
            if self._keeper.connected:
                self._pace.tell(news)
            return
        self._publish(news)
        if isinstance(news, Report):
            self._pace.forget(news.slot.name)
        if isinstance(news, Info | Report | Transcript):
            self._roster.learn(news)
            self._outbox.put(self._roster.summary())
        if isinstance(news, Info):
            self._home.learn(news)  # first, so that it does not wonder at topics that are cleared
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
        """Keep connected until cancelled, then say `offline`. HostError where another agent has this name."""
        await self._keeper.run(ended=self._pace.stop)

    # -- the broker's side ------------------------------------------------------------------

    async def _talk(self, connection: Connection) -> None:
        own = [self._home.found_at, *(self._topics.every(kind) for kind in OF_A_SLOT)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(connection), name="mqtt receive")
            tasks.create_task(self._home.follow(), name="home assistant")
            await self._listen(connection, own)
            self._outbox.refill()
            await send(connection, self._outbox, until_empty=True)
            # By now the broker has shown what it had retained of our slots, and the echo of the tree.
            await connection.ignore(own)
            await send(connection, self._outbox, until_empty=False)

    async def _listen(self, connection: Connection, own: Sequence[str]) -> None:
        commands = [self._topics.every(kind) for kind in COMMANDS]
        if refused := await connection.listen(commands, qos=1):
            log.warning("the broker lets us not read %s: nobody can ask us anything", ", ".join(refused))
        await connection.listen([*own, *self._home.births], qos=0)

    async def _last_news(self, connection: Connection) -> None:
        self._outbox.take_back()
        await send(connection, self._outbox, until_empty=True)

    async def _receive(self, connection: Connection) -> None:
        async for message in connection.messages:
            heard = read(message)
            if self._home.hears(heard.topic, heard.payload):
                continue
            parsed = self._topics.parse(heard.topic)
            if parsed and parsed[0] in OF_A_SLOT:
                if heard.retained and len(self._found) < _FOUND:
                    self._found.add(heard.topic)
                    self._clear_gone([heard.topic])
            else:
                self._obey(self._commands.read(heard, time.time()))

    def _obey(self, found: Request | Refusal | None) -> None:
        if isinstance(found, Refusal):
            self.answer(found.request, Answer("error", code=found.code, message=found.message))
        elif found is not None and found.verb in answers.VERBS:
            self.answer(found, answers.answer(found, self._roster, self._session, self._commands.refused))
        elif found is not None:
            try:
                self._requests.put_nowait(found)
            except asyncio.QueueFull:
                self.answer(found, Answer("error", code="busy", message="too many requests wait already"))

    def _publish(self, news: News) -> None:
        for publication in payloads.publications(news, self._topics, self._session, time.time()):
            self._outbox.put(publication)

    def _clear_gone(self, topics: Iterable[str]) -> None:
        for topic in self._roster.gone(topics):
            self._outbox.put(Publication(topic, b""))
            self._found.discard(topic)
