"""One request and what the agent answers to it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field

from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Kind, Topics
from terrible.remote.fields import printable
from terrible.remote.heard import Response, Trouble

GOOD_FOR = 30
"""Seconds; whoever asks has gone by then, and an order that comes later would surprise."""


@dataclass
class Question:
    """`slots` as people write them. `meant` are their names, once it is accepted; `last` ends it."""

    verb: str
    slots: str
    action: str = ""
    force: bool = False
    image: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    meant: tuple[str, ...] = ()
    last: Response | None = None
    _accepted: bool = False

    def __str__(self) -> str:
        return f"{self.verb} {self.action}".strip()

    @property
    def heard(self) -> bool:
        """Whether the agent has it."""
        return self._accepted or self.last is not None

    @property
    def failed(self) -> dict[str, Trouble]:
        """What went wrong, by slot; under no name where the whole was refused."""
        if self.last is None or self.last.error is None:
            return {}
        failed = _table(self.last.data.get("failed"))
        return {_text(name): _trouble(said) for name, said in failed.items()} or {"": self.last.error}

    @property
    def verdicts(self) -> dict[str, str]:
        """What a probe has found, a sentence for each slot that it has probed."""
        found = _table(self.last.data.get("verdicts")) if self.last is not None else {}
        return {_text(name): _text(_table(said).get("sentence", "")) for name, said in found.items() if said}

    @property
    def remarks(self) -> dict[str, str]:
        """What is to be said of the cards that a flash has written, by slot."""
        said = _table(self.last.data.get("remarks")) if self.last is not None else {}
        return {_text(name): _text(remark) for name, remark in said.items()}

    def publication(self, topics: Topics, now: float) -> Publication:
        """What asks it at this Unix time."""
        asked = {"v": 1, "id": self.id, "slots": self.slots, "expires": round(now + GOOD_FOR, 3)}
        asked |= {"action": self.action} if self.action else {}
        asked |= {"force": True} if self.force else {}
        asked |= {"image": self.image} if self.image else {}
        topic = topics.of(Kind.REQUEST, self.verb)
        return Publication(topic, json.dumps(asked).encode(), retain=False, lives=GOOD_FOR)

    def take(self, answer: Response) -> str:
        """Take in an answer; returns a line where it tells of one slot's end."""
        if answer.id != self.id:
            return ""
        match answer.status:
            case "accepted":
                self._accepted = True
                slots = answer.data.get("slots")
                self.meant = tuple(_text(name) for name in slots) if isinstance(slots, list) else ()
            case "progress":
                return _ended(answer)
            case "done" | "error":
                self.last = answer
        return ""


def _ended(answer: Response) -> str:
    name, left = _text(answer.data.get("slot", "")), _text(answer.data.get("left", 0))
    failed = _trouble(answer.data.get("error")).message
    how = f"failed: {failed}" if failed else "done"
    return f"{name}: {how}" + (f" ({left} left)" if left != "0" else "")


def _text(said: object) -> str:
    """`data` has no shape of its own, so that whatever is said there may turn up here."""
    return printable(str(said))


def _table(said: object) -> dict[str, object]:
    return said if isinstance(said, dict) else {}


def _trouble(said: object) -> Trouble:
    table = _table(said)
    return Trouble(_text(table.get("code", "")), _text(table.get("message", "")))
