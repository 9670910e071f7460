"""The agent as a soak sees it: the latest of every topic, and what each slot has said in its cycle."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from terrible.mqtt.topics import Kind, Topics
from terrible.soak.heard import Boot, Introduction, Response, Standing, read

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


class View:
    """Filled from messages alone, whoever brings them."""

    def __init__(self, cluster: str) -> None:
        self.topics = Topics(cluster)
        self.info: Introduction | None = None
        self._online = self._introduced = False
        self.journals: defaultdict[str, Journal] = defaultdict(Journal)
        self._changed = asyncio.Event()

    @property
    def online(self) -> bool:
        """Whether there is an agent that has said who it is since it came."""
        return self._online and self._introduced

    def standing(self, name: str) -> Standing | None:
        """How a slot stands, as the agent that is there says; not what one before it has left behind."""
        now = self.journals[name].now
        if not self.online or now is None or self.info is None:
            return None
        return now if now.session == self.info.session else None

    def take(self, topic: str, payload: bytes) -> None:
        """Take in one message; a stranger's nonsense changes nothing."""
        match self.topics.parse(topic):
            case (Kind.STATUS, _):
                self._online = payload == b"online"
                self._introduced = self._introduced and self._online
            case (Kind.INFO, _):
                self._introduce(read(Introduction, payload))
            case (Kind.STATE, (name,)):
                self._note(name, read(Standing, payload))
            case (Kind.BOOT, (name,)):
                self._note(name, read(Boot, payload))
            case (Kind.RESPONSE, _):
                answer = read(Response, payload)
                for name in self.journals:
                    self._note(name, answer)
        self._wake()

    def cut_off(self) -> None:
        """There is no broker: whether there is an agent, nobody knows."""
        self._online = self._introduced = False
        self._wake()

    async def change(self, limit: float) -> bool:
        """Return at the next message, True, or after `limit` seconds, False."""
        changed = self._changed
        try:
            async with asyncio.timeout(limit):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    def _introduce(self, info: Introduction | None) -> None:
        if info is not None:
            self.info, self._introduced = info, True

    def _note(self, name: str, heard: Standing | Boot | Response | None) -> None:
        if heard is not None:
            self.journals[name].add(heard)

    def _wake(self) -> None:
        """Each message wakes all that wait now, and a new event awaits the next."""
        self._changed.set()
        self._changed = asyncio.Event()
