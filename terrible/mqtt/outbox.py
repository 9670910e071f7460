"""What waits to be published: bounded, and always the newest of its kind.

The retained tree is kept whole, so that all of it can be published again after a connect. Only
events and answers are a queue; it has a limit, and what falls out at its end is counted.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from itertools import count

from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Kind, Topics

Key = str | int
"""A topic where only the latest counts, a serial number where each does."""
QUEUED = 1000
"""Events and answers that are kept while there is no broker."""
QUEUED_BYTES = 4 * 1024 * 1024
"""Of these together: strangers choose what is answered, and 1000 large answers fill a small head."""


class Outbox:
    """Takes publications without waiting and hands them out, oldest topic first."""

    def __init__(self, topics: Topics) -> None:
        self.tree: dict[str, Publication] = {}
        self.dropped = 0
        self._topics = topics
        self._summary = topics.of(Kind.SUMMARY)
        self._serial = count()
        self._queue: deque[int] = deque()
        self._queued_bytes = 0
        self._waiting: OrderedDict[Key, Publication] = OrderedDict()
        self._under_way: dict[Key, Publication] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, publication: Publication) -> None:
        """Publish this, instead of what waits on its topic unless each counts."""
        if publication.queued:
            self._enqueue(publication)
        elif self._is_news(publication):
            self._waiting[publication.topic] = publication
            if publication.topic == self._summary:  # nobody's news waits behind the sum of all news
                self._waiting.move_to_end(publication.topic)
        if self._waiting:
            self._filled.set()

    async def take(self) -> tuple[Key, Publication]:
        """The next to publish, as soon as there is one. It is under way until confirmed."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        key, publication = self._waiting.popitem(last=False)
        self._under_way[key] = publication
        return key, publication

    def confirm(self, key: Key, publication: Publication) -> None:
        """The broker has it."""
        if self._under_way.get(key) is publication:
            del self._under_way[key]
            if isinstance(key, int):
                self._queue.remove(key)
                self._queued_bytes -= len(publication.payload)

    def take_back(self) -> None:
        """The connection ended: what was under way waits again, unless something newer does."""
        self._waiting = OrderedDict({**self._under_way, **self._waiting})
        self._under_way.clear()

    def refill(self) -> None:
        """After a connect: the whole tree in order, then topics to clear, then each event and answer."""
        self.take_back()
        tree = self._in_order()
        cleared = [(key, p) for key, p in self._waiting.items() if p.retain and not p.payload]
        queue = [(key, self._waiting[key]) for key in self._queue]
        self._waiting = OrderedDict([*tree, *cleared, *queue])
        self._filled.set()

    def repeat(self) -> None:
        """The whole tree in order once more, before whatever waits besides it."""
        self._waiting = OrderedDict([*self._in_order(), *self._waiting.items()])
        self._filled.set()

    def _in_order(self) -> list[tuple[str, Publication]]:
        return sorted(self.tree.items(), key=lambda item: self._topics.place(item[0]))

    def _is_news(self, publication: Publication) -> bool:
        if not publication.retain:
            return True
        if not publication.payload:  # an empty retained message clears the topic (MQTT 3.1.1, 3.3.1.3)
            self.tree.pop(publication.topic, None)
            return True
        if self.tree.get(publication.topic) == publication:
            return False
        self.tree[publication.topic] = publication
        return True

    def _enqueue(self, publication: Publication) -> None:
        key = next(self._serial)
        self._queue.append(key)
        self._waiting[key] = publication
        self._queued_bytes += len(publication.payload)
        while len(self._queue) > QUEUED or (self._queued_bytes > QUEUED_BYTES and len(self._queue) > 1):
            self._drop(self._queue.popleft())

    def _drop(self, key: int) -> None:
        dropped = self._waiting.pop(key, None) or self._under_way.pop(key)
        self._queued_bytes -= len(dropped.payload)
        self.dropped += 1
