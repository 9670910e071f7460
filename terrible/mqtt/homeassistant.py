"""Home Assistant beside the contract: its discovery topics kept as the cluster is, and its starts noticed.

A broker keeps discovery topics over the end of the agent. Those of an earlier run are found again by
what they are called and how they begin, so that no slot renamed meanwhile leaves an orphan.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from terrible.model import Info
from terrible.mqtt import discovery
from terrible.mqtt.outbox import Outbox
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Topics

JITTER = 3.0
"""Seconds within which all is published again once Home Assistant has started: others do so as well."""
_FOUND = 4096


@dataclass(frozen=True, slots=True)
class Discovery:
    """Whether Home Assistant is told of the cluster, and below which topic it listens."""

    prefix: str = "homeassistant"
    enabled: bool = True


OFF = Discovery(enabled=False)


class HomeAssistant:
    """One cluster's discovery topics. Where that is off, only what an earlier run left is cleared."""

    def __init__(self, told: Discovery, topics: Topics, outbox: Outbox) -> None:
        self._told, self._topics, self._outbox = told, topics, outbox
        self._wanted: frozenset[str] | None = None if told.enabled else frozenset()
        self._found: set[str] = set()
        self._born = asyncio.Event()

    @property
    def found_at(self) -> str:
        """The filter of what may have been left by an earlier run; of use only at connect."""
        return discovery.every(self._told.prefix)

    @property
    def births(self) -> tuple[str, ...]:
        """The filters of what it says when it starts; none where it is not told anything."""
        return (f"{self._told.prefix}/status",) if self._told.enabled else ()

    def learn(self, info: Info) -> None:
        """Tell it of the cluster as it is now, and no longer of what it was."""
        if not self._told.enabled:
            return
        devices = discovery.publications(info, self._topics, self._told.prefix)
        before, self._wanted = self._wanted or frozenset(), frozenset(one.topic for one in devices)
        for publication in devices:
            self._outbox.put(publication)
        self._clear(before | self._found)

    def hears(self, topic: str, payload: bytes) -> bool:
        """Take what is meant for here; False for anything else."""
        if topic in self.births:
            if payload == b"online":
                self._born.set()
            return True
        if not topic.startswith(f"{self._told.prefix}/device/"):
            return False
        if len(self._found) < _FOUND and discovery.is_own(
            topic, payload, self._topics.cluster, self._told.prefix
        ):
            self._found.add(topic)
            self._clear({topic})
        return True

    async def follow(self) -> None:
        """Publish everything again soon after each start of Home Assistant, until cancelled."""
        self._born.clear()
        while True:
            await self._born.wait()
            await asyncio.sleep(random.uniform(0.0, JITTER))
            self._born.clear()
            self._outbox.repeat()

    def _clear(self, topics: set[str] | frozenset[str]) -> None:
        """An empty payload removes a device and all its entities."""
        if self._wanted is None:
            return  # which slots there are is not known yet
        for topic in topics - self._wanted:
            self._outbox.put(Publication(topic, b""))
        self._found -= topics
