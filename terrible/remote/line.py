"""The way to a broker for those that look at an agent, or ask something of it, from elsewhere."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import aiomqtt

from terrible.errors import HostError
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.connection import Connection, opened
from terrible.mqtt.ending import uninterrupted
from terrible.mqtt.payloads import Publication

PAUSE = 1.0
"""Seconds between two tries to reach the broker."""
CONFIRM = 3.0
"""Seconds that the broker has to confirm a publication."""

log = logging.getLogger(__name__)


class Unreachable(HostError):
    """No broker, or one that does not let us in. The message says where and what to do."""

    exit_code = 4


@asynccontextmanager
async def entered(address: BrokerAddress, name: str) -> AsyncIterator[Connection]:
    """A connection for the length of the block, under a new name each time; Unreachable where none.

    So is the end of a connection within the block.
    """
    try:
        async with opened(address, f"terrible-{name}-{secrets.token_hex(4)}") as connection:
            yield connection
    except (aiomqtt.MqttError, OSError) as error:
        raise Unreachable(f"no way into the broker at {address}: {error}; {_guess(error)}") from None


def _guess(error: Exception) -> str:
    """What to look at."""
    if isinstance(error, aiomqtt.MqttCodeError):
        return "does it let this user in?"
    if isinstance(error.__context__, ssl.SSLError):
        return "does mqtt.ca_file or SSL_CERT_FILE name who has signed its certificate?"
    return "is it running there?"


class Line:
    """Keeps connected and brings every message; publishes while there is a connection.

    `take` gets topic, payload and whether it was retained; `cut` is told of the end of a connection, after
    which nobody knows whether what was heard still holds.
    """

    def __init__(
        self,
        address: BrokerAddress,
        name: str,
        filters: Sequence[str],
        take: Callable[[str, bytes, bool], None],
        cut: Callable[[], None],
    ) -> None:
        self._address, self._name, self._filters = address, name, filters
        self._take, self._cut = take, cut
        self._connection: Connection | None = None
        self._noted = ""

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us in, and our subscriptions."""
        return self._connection is not None

    async def run(self) -> None:
        """Keep connected until cancelled; a trouble is logged once until it is over."""
        while True:
            try:
                await self._connected()
            except Unreachable as error:
                self._note(f"{error} Trying on.")
            await asyncio.sleep(PAUSE)

    async def say(self, publication: Publication) -> bool:
        """Publish it; whether the broker has it."""
        if self._connection is None:
            return False
        try:
            async with asyncio.timeout(CONFIRM):
                await uninterrupted(self._connection.send(publication))
        except (aiomqtt.MqttError, TimeoutError) as error:
            log.debug("%s: %s", publication.topic, error)
            return False
        return True

    async def _connected(self) -> None:
        async with entered(self._address, self._name) as connection:
            if refused := await connection.listen(self._filters, qos=1):
                raise Unreachable(f"the broker at {self._address} lets us not read {', '.join(refused)}")
            self._connection = connection
            self._note("")
            try:
                async for message in connection.messages:
                    self._take(message.topic.value, bytes(message.payload), bool(message.retain))
            finally:
                self._connection = None
                self._cut()

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._noted:
            log.warning("%s", trouble)
        self._noted = trouble
