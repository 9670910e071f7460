"""Every topic of the contract, built and taken apart again.

A kind of topic is written as the MQTT filter that matches all topics of its kind, without the base
`terrible/<cluster>`; its plus signs are the names. Their order here is the order of publishing
after a connect (facts/ecosystem.md section 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_NAME = re.compile(r"[a-z0-9.-]{1,64}")
"""What may stand for a plus sign: names of slots and verbs, locations, port numbers."""


LONGEST_REPLY = 200
"""Characters of a topic that somebody wants an answer on."""


class Kind(StrEnum):
    """Every kind of topic, as the filter of all its topics."""

    STATUS = "status"
    INFO = "info"
    STATE = "node/+/state"
    UP = "node/+/status"
    BOOT = "node/+/boot"
    PORT = "hub/+/port/+"
    SUMMARY = "summary"
    EVENT = "node/+/event"
    PROGRESS = "node/+/progress"
    POWER_SET = "node/+/power/set"
    REQUEST = "request/+"
    REMOTE = "remote/request/+"
    RESPONSE = "response/+"


OF_A_SLOT = (Kind.STATE, Kind.UP, Kind.BOOT, Kind.PORT)
"""Retained, and cleared when their slot is gone."""
COMMANDS = (Kind.POWER_SET, Kind.REQUEST, Kind.REMOTE)
"""What people publish to."""
_ORDER = {kind: place for place, kind in enumerate(Kind)}


def is_name(text: str) -> bool:
    """Whether it may be a part of a topic: no wildcard, no further part, nothing that a terminal obeys."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one cluster."""

    cluster: str

    @property
    def base(self) -> str:
        """What all of them begin with."""
        return f"terrible/{self.cluster}"

    def of(self, kind: Kind, *names: str) -> str:
        """The topic of that kind with `names` for its plus signs."""
        return f"{self.base}/{kind.replace('+', '{}').format(*names)}"

    def every(self, kind: Kind) -> str:
        """The filter that matches all topics of that kind."""
        return f"{self.base}/{kind}"

    def parse(self, topic: str) -> tuple[Kind, tuple[str, ...]] | None:
        """The kind of a topic and the names in it; None if it is none of this cluster's."""
        if not topic.startswith(f"{self.base}/"):
            return None
        parts = topic[len(self.base) + 1 :].split("/")
        for kind in Kind:
            names = _match(kind.split("/"), parts)
            if names is not None:
                return kind, names
        return None

    def reply(self, wanted: str) -> str:
        """A topic for answers that somebody wants, if it is one of ours for answers; else nothing.

        The agent publishes nowhere else, whatever a stranger writes.
        """
        below = f"{self.base}/response/"
        names = wanted.removeprefix(below).split("/")
        ours = wanted.startswith(below) and all(_NAME.fullmatch(name) for name in names)
        return wanted if ours and len(wanted) <= LONGEST_REPLY else ""

    def place(self, topic: str) -> int:
        """Where a topic comes when the whole tree is published."""
        parsed = self.parse(topic)
        return _ORDER[parsed[0]] if parsed else len(_ORDER)


def _match(pattern: list[str], parts: list[str]) -> tuple[str, ...] | None:
    if len(pattern) != len(parts):
        return None
    pairs = list(zip(pattern, parts, strict=True))
    if not all(_NAME.fullmatch(part) if fixed == "+" else fixed == part for fixed, part in pairs):
        return None
    return tuple(part for fixed, part in pairs if fixed == "+")
