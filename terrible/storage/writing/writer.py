"""How a card is written, top to bottom. Sector 0 is zeroed first and written last.

In between the card cannot be booted: no boot ROM finds a partition in a first sector of zeros. It comes
only when everything else has been read back from the card, and the image has been seen to be whole.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from queue import Queue
from threading import Thread
from time import monotonic

from terrible.storage.faults import CardError, ImageError
from terrible.storage.images.partitions import reach
from terrible.storage.writing import patch as patches
from terrible.storage.writing.blank import made_blank
from terrible.storage.writing.device import Device
from terrible.storage.writing.lane import End, Lane
from terrible.storage.writing.layout import Layout
from terrible.storage.writing.pace import Pace
from terrible.storage.writing.patch import Patch
from terrible.storage.writing.pieces import Kind, Piece
from terrible.storage.writing.pool import CHUNK, ZEROS
from terrible.storage.writing.verify import needed, verify


class Stage(StrEnum):
    """What is being done to a card."""

    PREPARING = "preparing"
    WRITING = "writing"
    VERIFYING = "verifying"
    FINISHING = "finishing"


@dataclass(slots=True)
class Card:
    """One card, and how far it is: `done` of `total` bytes of its stage, as far as a total is known.

    `written` are bytes sent to the card, 0 only where it was not touched; zeros that it had are only `done`.
    `error` is why it is not whole, `stages` are the seconds that each stage has taken.
    """

    slot: str
    stage: Stage = Stage.PREPARING
    done: int = 0
    total: int | None = None
    written: int = 0
    stages: dict[Stage, float] = field(default_factory=dict)
    whole: bool = False
    error: str | None = None


class Writer:
    """The thread of one card. `size` is the image's where it is known; `over` hears how it has ended."""

    def __init__(
        self,
        card: Card,
        device: Device,
        patched: Sequence[Patch],
        *,
        size: int | None,
        discard: bool,
        over: Callable[[Card], None],
    ) -> None:
        self.card = card
        self._device = device
        self._patches = patched
        self.slot = card.slot
        self.lane = Lane()
        self._size = size
        self._discard = discard
        self._over = over
        self._next: Queue[Lane | Layout | ImageError | CardError] = Queue()
        self._blank = False
        self._position = 0
        self._busy = 0.0
        self._since: float | None = None
        self._answered = 0.0
        self._touched = False
        self._entered = monotonic()
        self._head = memoryview(mmap.mmap(-1, mmap.PAGESIZE))[: device.sector]
        self.thread = Thread(target=self._run, name=card.slot, daemon=True)
        self.thread.start()

    def pace(self) -> Pace:
        """How fast it has been in this pass."""
        since = self._since
        busy = self._busy + (monotonic() - since if since is not None else 0)
        return Pace(self.card.done, busy, self.lane.waiting)

    def silent(self) -> float:
        """Seconds since it has done anything that it was asked for; 0 while it is asked for nothing.

        One piece may be gigabytes of zeros, for a hole in a file is one.
        """
        since = self._since
        return 0.0 if since is None else monotonic() - max(since, self._answered)

    def give_up(self, why: CardError) -> None:
        """Nobody waits for it any longer. Its thread ends when the kernel lets go of it."""
        self.card.error = str(why)
        self.lane.close(End.SPOILED)
        self._over(self.card)

    def again(self) -> None:
        """It was set aside and gets another pass."""
        lane = self.lane = Lane()
        self._next.put(lane)
        if self.card.error is not None:
            lane.close(End.SPOILED)

    def conclude(self, image: Layout | ImageError | CardError) -> None:
        """The pass is over: the image is whole, or it is not."""
        self._next.put(image)

    def _run(self) -> None:
        try:
            self._tell_story()
        except (CardError, ImageError) as error:
            self.card.error = str(error)
        except Exception as error:  # noqa: BLE001  # one card never stops the others
            self.card.error = f"{type(error).__name__}: {error}"
        finally:
            if not self.card.whole:
                self._leave_unbootable()
            self.lane.close(End.SPOILED)
            self._since = None
            self._enter(self.card.stage)
            self._over(self.card)

    def _tell_story(self) -> None:
        while not isinstance(image := self._written(), Layout):
            if isinstance(image, ImageError | CardError):
                raise image
        device = self._device
        self._since = monotonic()
        device.flush()
        reads = list(needed(image, blank=self._blank))
        self._enter(Stage.VERIFYING)
        self.card.done = 0
        self.card.total = sum(read.length for read in reads)
        verify(device, reads, image.kind, self._head, self._verified)
        self._enter(Stage.FINISHING)
        for patch in self._patches:
            patches.put(device, patch)
        self._write_head()
        self.card.whole = True

    def _written(self) -> Lane | Layout | ImageError | CardError:
        """Write what the present lane brings; what comes after it."""
        for piece in self.lane:
            self._since = monotonic()
            if not self._touched:
                self._prepare(piece)
            if piece.offset >= self._position:
                self._write(piece)
                self._position = piece.end
            self._busy += monotonic() - self._since
            self._since = None
        return self._next.get()

    def _prepare(self, first: Piece) -> None:
        """Sector 0 goes, and the rest of the card's old content where that is possible."""
        needed = max(reach(first.view[:1024] if first.buffer else b""), self._size or 0)
        if needed > self._device.size:
            raise CardError(f"the card is too small: {self._device.size} bytes for an image of {needed}")
        self._touched = True
        self._zero_head()
        if self._discard:
            self._blank = made_blank(self._device, self._size or self._device.size)
        self._enter(Stage.WRITING)

    def _write(self, piece: Piece) -> None:
        if piece.end > self._device.size and piece.kind is not Kind.UNMAPPED:
            raise CardError(f"the card is too small: {self._device.size} bytes, and the image has more")
        if piece.kind is Kind.DATA:
            self._write_data(piece)
            self._advance(piece.length)
        elif piece.kind is Kind.ZERO:
            self._write_zeros(piece)

    def _write_zeros(self, piece: Piece) -> None:
        """A hole may be of gigabytes: how far it is shows on the way."""
        for offset in range(piece.offset, piece.end, CHUNK):
            length = min(CHUNK, piece.end - offset)
            if not self._blank:
                self._put(_ZEROS[:length], offset)
            self._advance(length)

    def _write_data(self, piece: Piece) -> None:
        view, offset = piece.view, piece.offset
        if not offset:
            self._head[:] = view[: len(self._head)]
            view, offset = view[len(self._head) :], len(self._head)
        self._put(view, offset)

    def _put(self, view: memoryview, offset: int) -> None:
        self.card.written += len(view)  # first: a write that fails may have touched the card, too
        self._device.write(view, offset)
        self._answered = monotonic()

    def _enter(self, stage: Stage) -> None:
        card, now = self.card, monotonic()
        card.stages[card.stage] = card.stages.get(card.stage, 0.0) + now - self._entered
        card.stage, self._entered = stage, now

    def _advance(self, length: int) -> None:
        self.card.done += length

    def _verified(self, length: int) -> None:
        self._advance(length)
        self._answered = monotonic()

    def _zero_head(self) -> None:
        self._head[:] = ZEROS[: len(self._head)]
        self._write_head()

    def _write_head(self) -> None:
        """Write what is in `_head` to sector 0, and see that it is there."""
        device = self._device
        wanted = self._head.tobytes()
        self._put(self._head, 0)
        device.flush()
        device.forget()
        device.read(self._head, 0)
        if self._head.tobytes() != wanted:
            raise CardError("the card does not keep what is written to its sector 0")

    def _leave_unbootable(self) -> None:
        """Sector 0 is zeros already, unless it was the last write that failed."""
        if self._touched and self.card.stage is Stage.FINISHING:
            with suppress(CardError):
                self._zero_head()


_ZEROS = memoryview(mmap.mmap(-1, CHUNK))
"""Aligned, as O_DIRECT wants its memory."""
