"""Which slots there are, and what each last said of itself: what `summary` is made of, and `status` answers.

A broker keeps retained topics of slots long gone; once the agent has listed its slots, those can be
told from the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from terrible.model import Info, Report, Slot, Transcript
from terrible.mqtt import payloads
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import OF_A_SLOT, Kind, Topics


class Roster:
    """Learns from Info, which lists every slot, and from Reports, which may add one."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._slots: dict[str, Slot] = {}
        self.info: Info | None = None
        self.reports: dict[str, Report] = {}
        self.transcripts: dict[str, Transcript] = {}

    @property
    def names(self) -> list[str]:
        """The slots' names, in the agent's order."""
        return list(self._slots)

    def learn(self, news: Info | Report | Transcript) -> None:
        """Take it down."""
        match news:
            case Info():
                self.info = news
                self._slots = {slot.name: slot for slot in news.slots}
                self.reports = {name: r for name, r in self.reports.items() if name in self._slots}
                self.transcripts = {name: t for name, t in self.transcripts.items() if name in self._slots}
            case Report():
                self._slots[news.slot.name] = news.slot
                self.reports[news.slot.name] = news
            case Transcript():
                self.transcripts[news.slot] = news

    def summary(self) -> Publication:
        """The cluster in one glance."""
        return payloads.summary(len(self._slots), self.reports.values(), self._topics)

    def slot(self, name: str) -> Slot | None:
        """The slot of that name."""
        return self._slots.get(name)

    def gone(self, topics: Iterable[str]) -> list[str]:
        """Those topics that belong to slots that no longer exist; none before Info was learned."""
        return [topic for topic in topics if self.info is not None and self._is_gone(topic)]

    def _is_gone(self, topic: str) -> bool:
        match self._topics.parse(topic):
            case (Kind.PORT, (hub, port)):
                return (hub, port) not in {
                    (s.location.hub, str(s.location.port)) for s in self._slots.values()
                }
            case (kind, (name,)) if kind in OF_A_SLOT:
                return name not in self._slots
        return False
