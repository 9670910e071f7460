"""The latest of every topic of one cluster, as values. Filled from messages alone, whoever brings them."""

from __future__ import annotations

from typing import Any

from terrible.mqtt.topics import Kind, Topics
from terrible.remote.heard import Advance, Boot, Happening, Introduction, Response, Standing, read

Heard = Introduction | Standing | Boot | Advance | Happening | Response

_SHAPES: dict[Kind, type[Any]] = {
    Kind.INFO: Introduction,
    Kind.STATE: Standing,
    Kind.BOOT: Boot,
    Kind.PROGRESS: Advance,
    Kind.EVENT: Happening,
    Kind.RESPONSE: Response,
}
_SENDING = frozenset({"loading", "starting"})
"""Phases in which the bytes sent so far say how far a boot is."""


class Tree:
    """One cluster as its agent tells it; a stranger's nonsense changes nothing.

    `said` is the last of `status`: whether there is an agent, None where nobody has said anything yet.
    """

    def __init__(self, cluster: str) -> None:
        self.topics = Topics(cluster)
        self.said: bool | None = None
        self.info: Introduction | None = None
        self.standings: dict[str, Standing] = {}
        self.boots: dict[str, Boot] = {}
        self.advances: dict[str, Advance] = {}
        self._introduced = False

    @property
    def online(self) -> bool:
        """Whether there is an agent that has said who it is since it came."""
        return self.said is True and self._introduced

    @property
    def names(self) -> list[str]:
        """The slots in the agent's order; without its word on them, those that states tell of."""
        return self.info.names if self.info else sorted(self.standings)

    @property
    def complete(self) -> bool:
        """Whether the agent that is there has told of every slot that it listed."""
        return self.online and all(self.standing(name) for name in self.names)

    @property
    def told(self) -> bool:
        """Whether there is a state of every slot, be it of an agent that has gone."""
        return self.info is not None and all(name in self.standings for name in self.names)

    def standing(self, name: str) -> Standing | None:
        """How a slot stands, as the agent that is there says; not what one before it has left behind."""
        now = self.standings.get(name)
        if not self.online or now is None or self.info is None:
            return None
        return now if now.session == self.info.session else None

    def take(self, topic: str, payload: bytes) -> tuple[str, Heard | None]:
        """Take in one message; returns the slot it is about, if any, and what it says, if anything."""
        parsed = self.topics.parse(topic)
        if parsed is None:
            return "", None
        kind, names = parsed
        name = names[0] if kind.startswith("node/") else ""
        if kind is Kind.STATUS:
            self._is(payload == b"online")
        heard: Heard | None = read(_SHAPES[kind], payload) if kind in _SHAPES else None
        if heard is None:
            self._cleared(kind, name, payload)
        else:
            self._keep(name, heard)
        return name, heard

    def cut_off(self) -> None:
        """There is no broker: whether there is an agent, nobody knows."""
        self.said, self._introduced = None, False

    def _is(self, online: bool) -> None:
        self.said, self._introduced = online, self._introduced and online

    def _keep(self, name: str, heard: Heard) -> None:
        match heard:
            case Introduction():
                self.info, self._introduced = heard, True
            case Standing():
                self.standings[name] = heard
                if heard.phase not in _SENDING:
                    self.advances.pop(name, None)
            case Boot():
                self.boots[name] = heard
            case Advance():
                self.advances[name] = heard

    def _cleared(self, kind: Kind, name: str, payload: bytes) -> None:
        """The slot is gone."""
        if not payload and kind in (Kind.STATE, Kind.BOOT):
            (self.standings if kind is Kind.STATE else self.boots).pop(name, None)
