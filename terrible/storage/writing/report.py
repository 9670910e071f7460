"""What the worker says on its standard output: lines of JSON, see docs/flash.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from terrible.storage.writing.pace import Rate
from terrible.storage.writing.writer import Card, Stage

INTERVAL = 0.25


class Report:
    """Tells how far the cards are until it is closed, and what else is to be said."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = cards
        self._lock = Lock()
        self._over = Event()
        self._rates: dict[tuple[str, Stage], Rate] = {}
        self._thread = Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def say(self, event: str, **values: Any) -> None:
        """One line."""
        line = json.dumps({"event": event, **values})
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        """No more progress."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            for card in self._cards:
                if not card.whole and card.error is None:
                    self._progress(card)

    def _progress(self, card: Card) -> None:
        stage, done, now = card.stage, card.done, monotonic()
        rate = self._rates.setdefault((card.slot, stage), Rate(now, done)).at(now, done)
        left = round(max(card.total - done, 0) / rate, 1) if rate and card.total is not None else None
        self.say(
            "progress", slot=card.slot, stage=stage, done=done, total=card.total, rate=round(rate), left=left
        )
