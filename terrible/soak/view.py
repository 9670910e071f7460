"""The agent as a soak sees it: the latest of every topic, and what each slot has said in its cycle."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from terrible.mqtt.topics import Kind
from terrible.remote.bell import Bell
from terrible.remote.heard import Boot, Response, Standing
from terrible.remote.tree import Heard, Tree

LISTENED = (Kind.STATUS, Kind.INFO, Kind.STATE, Kind.BOOT, Kind.RESPONSE)
"""The kinds of topics that a View understands."""


@dataclass
class Journal:
    """What one slot has said since its cycle began, oldest first; `before` is how it stood then."""

    before: Standing | None = None
    asked: str = ""
    standings: list[Standing] = field(default_factory=list)
    boots: list[Boot] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    _old: Boot | None = None

    @property
    def now(self) -> Standing | None:
        """How the slot stands."""
        return self.standings[-1] if self.standings else self.before

    @property
    def length(self) -> int:
        """How much it has said in this cycle."""
        return len(self.standings) + len(self.boots) + len(self.answers)

    def begin(self, request: str) -> None:
        """A cycle begins, by the request of this id."""
        self._old = self.boots[-1] if self.boots else self._old
        self.before, self.asked = self.now, request
        self.standings, self.boots, self.answers = [], [], []

    def add(self, heard: Standing | Boot | Response) -> None:
        """Take it down, unless it is what a broker had retained and tells again."""
        match heard:
            case Standing() if heard != self.now:
                self.standings.append(heard)
            case Boot() if heard != self._old and heard not in self.boots and self._is_later(heard):
                self.boots.append(heard)
            case Response() if heard.id == self.asked:
                self.answers.append(heard)

    def _is_later(self, boot: Boot) -> bool:
        """Whether it belongs to this cycle: a transcript may come after the state that it led to."""
        return self.before is None or boot.attempt > self.before.attempt


class View(Tree):
    """The tree, and the journal of each slot; whoever waits is told that something came."""

    def __init__(self, cluster: str) -> None:
        super().__init__(cluster)
        self.journals: defaultdict[str, Journal] = defaultdict(Journal)
        self._bell = Bell()

    def take(self, topic: str, payload: bytes) -> tuple[str, Heard | None]:
        """Take in one message, also where it belongs in journals."""
        name, heard = super().take(topic, payload)
        match heard:
            case Standing() | Boot():
                self.journals[name].add(heard)
            case Response():
                for journal in self.journals.values():
                    journal.add(heard)
        self._bell.ring()
        return name, heard

    def cut_off(self) -> None:
        super().cut_off()
        self._bell.ring()

    async def change(self, limit: float) -> bool:
        """Return at the next message, True, or after `limit` seconds, False."""
        return await self._bell.heard(limit)
