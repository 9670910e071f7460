"""Which clusters there are at a broker."""

from __future__ import annotations

from terrible.mqtt.topics import Kind, Topics, is_name
from terrible.remote.visit import Visit

EVERY = Topics("+").every(Kind.STATUS)


async def clusters(visit: Visit) -> dict[str, bool]:
    """The names of all, sorted, and whether the agent of each is online; nothing else of them is read."""
    found: dict[str, bool] = {}

    def take(topic: str, payload: bytes) -> None:
        parts = topic.split("/")
        if len(parts) == 3 and is_name(parts[1]) and payload:
            found[parts[1]] = payload == b"online"

    await visit.listen([EVERY], take)
    await visit.quiet()
    await visit.ignore([EVERY], take)
    return dict(sorted(found.items()))
