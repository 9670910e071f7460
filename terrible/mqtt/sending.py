"""Out of the outbox and to the broker, a few under way at once."""

from __future__ import annotations

import asyncio
import logging

from terrible.mqtt.connection import Connection
from terrible.mqtt.outbox import Key, Outbox
from terrible.mqtt.payloads import Publication

_UNDER_WAY = 8
"""Publications sent and not yet confirmed; aiomqtt warns above 10."""

log = logging.getLogger(__name__)


async def send(connection: Connection, outbox: Outbox, until_empty: bool) -> None:
    """Publish in order: one at a time would wait for each confirmation. Ends with the connection."""
    free = asyncio.Semaphore(_UNDER_WAY)
    async with asyncio.TaskGroup() as under_way:
        while len(outbox) or not until_empty:
            await free.acquire()
            key, publication = await outbox.take()
            under_way.create_task(_send_one(connection, outbox, free, key, publication))


async def _send_one(
    connection: Connection, outbox: Outbox, free: asyncio.Semaphore, key: Key, publication: Publication
) -> None:
    await connection.send(publication)
    if connection.refusal:
        log.warning(
            "the broker refuses what we publish (%s, near %s); may our user write there?",
            connection.refusal,
            publication.topic,
        )
        connection.refusal = ""
    outbox.confirm(key, publication)
    free.release()
