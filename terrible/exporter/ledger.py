"""Which transcripts are news. A transcript is retained: brokers, agents and bridges tell it again and again.

The flag for that says little: by MQTT 5 it comes as it was published, and an agent that meets an empty
broker publishes old transcripts anew. So what counts is what was heard before. Of the first transcript
of a slot nobody knows how old it is, until the event follows that is told once, at an attempt's end.
"""

from __future__ import annotations

from collections import deque

from terrible.exporter.heard import Boot, Happening

REMEMBERED = 16
"""Transcripts of a slot; a broker that was restored from a file may tell an old one."""


class Ledger:
    """Those of one slot. An attempt is known by its number and when it started."""

    def __init__(self) -> None:
        self._heard: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        self._first: Boot | None = None

    def is_news(self, boot: Boot) -> bool:
        """Whether this attempt has ended since the exporter first heard of its slot."""
        key = (boot.attempt, boot.started)
        if key in self._heard:
            return False
        self._first = None if self._heard else boot
        self._heard.append(key)
        return self._first is None

    def proven(self, happening: Happening) -> Boot | None:
        """The slot's first transcript, where this is the event of its end; it is news after all."""
        first = self._first
        if first is None or (happening.event_type, happening.data.seconds) != (first.outcome, first.seconds):
            return None
        self._first = None
        return first
