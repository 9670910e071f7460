"""A row of pieces on its way to one who needs them: a card, or a digest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum
from threading import Condition

from terrible.storage.writing.pieces import Piece


class End(Enum):
    """Why no more pieces come."""

    DONE = "that was the whole image"
    ASIDE = "the others do not wait any longer"
    SPOILED = "the image is not whole, or nobody wants it any more"


class Lane:
    """Filled by the reader, emptied by one thread. Its length is bounded by the pool's buffers."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._changed = Condition()
        self.end: End | None = None

    @property
    def waiting(self) -> int:
        """Pieces that nobody has taken yet."""
        return len(self._pieces)

    def put(self, piece: Piece) -> None:
        """One more piece, kept until it has been dealt with. Nothing where the lane is closed."""
        with self._changed:
            if self.end is None:
                piece.hold()
                self._pieces.append(piece)
                self._changed.notify()

    def close(self, end: End) -> None:
        """No more pieces. Only after DONE are those that wait still dealt with."""
        with self._changed:
            if self.end in (None, End.DONE):
                self.end = end
                if end is not End.DONE:
                    self._drop()
                self._changed.notify()

    def _drop(self) -> None:
        while self._pieces:
            self._pieces.popleft().release()

    def __iter__(self) -> Iterator[Piece]:
        """Each piece; it is let go when the next is asked for, or when whoever takes them gives up."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self.end)
                if not self._pieces:
                    return
                piece = self._pieces.popleft()
            try:
                yield piece
            finally:
                piece.release()
