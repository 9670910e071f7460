"""One pass: the image is read once, and each piece goes to every card and every digest.

All of them share one pool. Whoever is slow keeps its buffers, and in the end the reader waits for it.
Where the image can be read again, a card that is much slower than the others is set aside instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Thread
from time import monotonic
from typing import Protocol

from terrible.storage.faults import CardError, ImageError
from terrible.storage.writing.lane import End, Lane
from terrible.storage.writing.layout import Digests, Layout
from terrible.storage.writing.pace import Pace, too_slow
from terrible.storage.writing.pieces import Piece
from terrible.storage.writing.pool import Buffer, Pool
from terrible.storage.writing.source import Source

PATIENCE = 3.0
"""Seconds in all that a pass waits for a slow card before it is set aside."""
LOOK = 0.1


class Writer(Protocol):
    """A card as a pass sees it. Its own thread empties its lane."""

    slot: str
    lane: Lane

    def pace(self) -> Pace: ...


class Taker:
    """A thread that shows every piece to somebody and keeps the error they end with."""

    def __init__(self, name: str, take: Callable[[Piece], None]) -> None:
        self.lane = Lane()
        self.error: Exception | None = None
        self._take = take
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for piece in self.lane:
                self._take(piece)
        except Exception as error:  # noqa: BLE001  # raised again in the reader's thread
            self.error = error
            self.lane.close(End.SPOILED)

    def join(self, end: End) -> None:
        """Let it take what there is; raises what it has ended with."""
        self.lane.close(end)
        self._thread.join()
        if self.error and end is End.DONE:
            raise self.error


class Pass:
    """One reading of the image for some cards."""

    def __init__(self, source: Source, cards: Mapping[str, Writer], pool: Pool, *, patient: bool) -> None:
        self.aside: set[str] = set()
        self._source = source
        self._cards = cards
        self._pool = pool
        self._patient = patient
        self._waited = 0.0
        self._digests = Digests(source.bmap)
        self._takers = [Taker(name, take) for name, take in self._digests.takers().items()]

    def run(self) -> Layout:
        """The whole image, past everybody; ImageError where it is not whole or not the one that was meant."""
        end = End.SPOILED
        try:
            lanes = [*(taker.lane for taker in self._takers), *(card.lane for card in self._cards.values())]
            for piece in self._source.pieces(self._lend):
                for lane in lanes:
                    lane.put(piece)
                self._go_on()
            for taker in self._takers:
                taker.join(End.DONE)
            end = End.DONE
            return self._digests.finish()
        except OSError as error:
            raise ImageError(f"the image cannot be read: {error.strerror}") from error
        finally:
            for taker in self._takers:
                taker.join(end)
            for card in self._cards.values():
                card.lane.close(end)

    def _go_on(self) -> None:
        """Whether there is a reason to."""
        for taker in self._takers:
            if taker.error:
                raise taker.error
        if self._cards and all(card.lane.end for card in self._cards.values()):
            if self.aside:
                return
            raise CardError("no card is left")

    def _lend(self) -> Buffer:
        """A free buffer; while there is none, see for whom we wait."""
        while True:
            began = monotonic()
            buffer = self._pool.take(LOOK)
            self._waited += monotonic() - began
            if not self._patient and self._waited >= PATIENCE:
                self._set_aside()
            if buffer:
                return buffer
            self._go_on()

    def _set_aside(self) -> None:
        paces = {name: card.pace() for name, card in self._cards.items() if not card.lane.end}
        for name in too_slow(paces):
            self.aside.add(name)
            self._cards[name].lane.close(End.ASIDE)
