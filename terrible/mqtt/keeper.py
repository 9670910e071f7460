"""Keeps the agent connected: one connection after the other, each from its opening to its goodbye.

Nothing that a broker does ends it, but one thing: at the start another agent that answers for the same
cluster. One that comes later does not: our nodes still need their boot files. Then we stay away from the
broker for as long as it answers, or two would throw each other out for ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiomqtt
from aiomqtt import ProtocolVersion

from terrible.mqtt import payloads, rival, trouble
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.connection import Connection, opened
from terrible.mqtt.ending import GOODBYE, end, in_peace, within
from terrible.mqtt.topics import Topics

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between tries, give or take a quarter; the last one for ever."""
_SETTLED = 5.0
"""Seconds after which a connection counts as good. Two agents of one name end each other's at once."""
_LAST_NEWS = 1.5
"""Seconds for what still waits to be published; 120 slots that go off are 240 messages."""

Work = Callable[[Connection], Coroutine[Any, Any, None]]

log = logging.getLogger(__name__)


class Keeper:
    """Runs `talk` on each connection until that ends, and `last` on the one it is stopped on."""

    def __init__(self, address: BrokerAddress, topics: Topics, session: str, talk: Work, last: Work) -> None:
        self._address, self._topics, self._session = address, topics, session
        self._talk, self._last = talk, last
        self._protocol: ProtocolVersion | None = None
        self._was_agent = False
        self._suspects = False
        self.connected = False
        self._noted = ""

    async def run(self, ended: Callable[[], None]) -> None:
        """Keep connected until cancelled, then say `offline`; `ended` is told of each end. Raises Rival."""
        tries = 0
        while True:
            began, spoken = time.monotonic(), self._protocol
            await self._connection()
            if self.connected:
                tries = 0 if time.monotonic() - began > _SETTLED else min(tries, PAUSES.index(1.0))
            self.connected = False
            ended()
            if spoken is self._protocol:
                await asyncio.sleep(PAUSES[tries] * random.uniform(0.75, 1.25))
                tries = min(tries + 1, len(PAUSES) - 1)

    async def _connection(self) -> None:
        """One connection from beginning to end; only a cancellation goes through, and a Rival.

        It talks in a task of its own, because a TaskGroup may drop a cancellation that comes together
        with an error, or leave its task marked as cancelled when it was not (Python 3.11).
        """
        try:
            if self._protocol is None or self._suspects:
                self._protocol = await self._first()
                self._suspects = False
            offline = payloads.status(False, self._topics)
            name = f"terrible-{self._topics.cluster}"
            connection = Connection(self._address, name, offline, self._protocol)
        except rival.Rival as error:
            if not self._was_agent:
                raise
            self._note(logging.WARNING, f"{error}; until then this one stays away from the broker")
            return
        except (aiomqtt.MqttError, OSError) as error:  # aiomqtt 2.3.1 reads the CA file in the constructor
            self._note(logging.WARNING, f"{trouble.told(error, self._address)}; trying on")
            return
        began = time.monotonic()
        talking = asyncio.create_task(self._open_and_talk(connection), name="mqtt connection")
        try:
            await asyncio.wait([talking])
        except asyncio.CancelledError:
            await in_peace(self._leave(connection, talking))
            raise
        failed = None if talking.cancelled() else talking.exception()
        self._lost(failed, connection.end, time.monotonic() - began)
        await in_peace(within(GOODBYE, connection.close()))

    async def _first(self) -> ProtocolVersion:
        """Find out which MQTT the broker speaks and that nobody else is this cluster's agent."""
        async with opened(self._address, f"terrible-{self._topics.cluster}-{self._session}") as connection:
            await rival.look(connection, self._topics, self._session)
            return connection.protocol

    async def _open_and_talk(self, connection: Connection) -> None:
        await connection.open()
        self.connected = self._was_agent = True
        self._note(logging.INFO, f"connected to the broker at {self._address}")
        await self._talk(connection)

    async def _leave(self, connection: Connection, talking: asyncio.Task[None]) -> None:
        await within(GOODBYE, end(talking))
        await within(_LAST_NEWS, self._last_news(connection))
        await within(GOODBYE, connection.send(payloads.status(False, self._topics)))
        await within(GOODBYE, connection.close())

    async def _last_news(self, connection: Connection) -> None:
        await connection.open()
        await self._last(connection)

    def _lost(self, failed: BaseException | None, end: BaseException | None, lasted: float) -> None:
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
        if trouble.is_too_old(failed) and self._protocol is ProtocolVersion.V5:
            self._protocol = ProtocolVersion.V311
        elif trouble.is_taken_over(end):
            who = f"another client has entered {self._address} as terrible-{self._topics.cluster}"
            self._note(logging.WARNING, f"{who}; are there two agents of this cluster?")
            self._suspects = True
        elif isinstance(failed, (aiomqtt.MqttError, OSError)):
            self._note(logging.WARNING, f"{trouble.told(failed, self._address)}; trying on")
            # Mosquitto 2.0.11 does not tell who is thrown out why, and MQTT 3.1.1 cannot.
            self._suspects = self.connected and lasted < _SETTLED
        else:
            log.error("an error of ours while connected to %s; trying on", self._address, exc_info=failed)

    def _note(self, level: int, state: str) -> None:
        if state != self._noted:
            self._noted = state
            log.log(level, "%s", state)
