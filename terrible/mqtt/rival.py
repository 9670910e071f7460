"""Whether another agent of this cluster is at the broker already: asked once, before we enter as its agent.

A retained `online` proves nothing: it stays for a while after a head has lost its power, and for ever
where a broker was killed. Only an answer does.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from terrible.errors import HostError
from terrible.mqtt.connection import Connection
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Kind, Topics

ANSWER = 3.0
"""Seconds for another agent to answer."""


class Rival(HostError):
    """There is one. EX_CONFIG of sysexits.h: systemd does not start us again and again."""

    exit_code = 78


async def look(connection: Connection, topics: Topics, session: str) -> None:
    """Return where no other session answers for this cluster; raise Rival where one does."""
    status, answers = topics.of(Kind.STATUS), topics.of(Kind.RESPONSE, "status")
    await connection.listen([status, answers], qos=1)
    await connection.ignore([status])  # once that is confirmed, what was retained has come
    online = False
    while len(connection.messages):
        online |= (await anext(connection.messages)).payload == b"online"
    if online:
        await _ask(connection, topics, session)


async def _ask(connection: Connection, topics: Topics, session: str) -> None:
    asked = f"agent-{session}"
    request = json.dumps({"v": 1, "id": asked}).encode()
    await connection.send(Publication(topics.of(Kind.REQUEST, "status"), request, retain=False))
    try:
        async with asyncio.timeout(ANSWER):
            async for message in connection.messages:
                if (other := _other(bytes(message.payload), asked, session)) is not None:
                    raise Rival(_said(topics.cluster, other))
    except TimeoutError:
        return


def _other(payload: bytes, asked: str, session: str) -> dict[str, Any] | None:
    """What another session says of itself, if this is its answer to us; even `busy` comes from an agent."""
    try:
        answer = json.loads(payload)
        data: dict[str, Any] = answer["data"]
        return data if answer["id"] == asked and data.get("session") != session else None
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def _said(cluster: str, other: dict[str, Any]) -> str:
    host = str(other.get("host", "another head"))[:64]
    return (
        f"an agent on {host!r} already runs the cluster {cluster} at this broker; "
        "give this one another name (cluster = … in the configuration) or stop that one"
    )
