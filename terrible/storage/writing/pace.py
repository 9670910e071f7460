"""How fast a card is, and which cards are too slow for the others to wait for. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

WINDOW = 10.0
"""Seconds that a published rate looks back: cards stall for a second or two at a time."""


class Rate:
    """Bytes a second over the last ten seconds."""

    def __init__(self, now: float, done: int) -> None:
        self._seen = deque([(now, done)])

    def at(self, now: float, done: int) -> float:
        """The rate with so many bytes done by now."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        span = now - then
        return (done - before) / span if span > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What a card has done in this pass: bytes, the seconds it was at work on them, and what waits for it."""

    written: int
    busy: float
    waiting: int

    @property
    def rate(self) -> float:
        """Bytes a second while there was something to do."""
        return self.written / self.busy if self.busy > 0 else 0.0


def too_slow(cards: Mapping[str, Pace]) -> frozenset[str]:
    """Those that keep all others waiting at less than half of the fastest one's rate.

    A card that is set aside stands still until the others are done. At half their rate it would be done a
    pass after them; set aside it is done two passes after, and they are done in half the time. Nobody is
    set aside while somebody faster is behind as well: then it is the image that is slow, or the link.
    """
    fastest = max((card.rate for card in cards.values()), default=0.0)
    most = max((card.waiting for card in cards.values()), default=0)
    behind = {name for name, card in cards.items() if card.waiting > most / 2}
    slow = {name for name in behind if cards[name].rate < fastest / 2}
    return frozenset(slow) if slow == behind and len(slow) < len(cards) else frozenset()
