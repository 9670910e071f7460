"""Cards that answer nothing any more. The agent cuts their power, which is what ends the kernel's waiting.

The kernel gives each of its commands six tries of 30 s with a reset behind each (drivers/scsi/sd.h:
SD_TIMEOUT, SD_MAX_RETRIES), and a piece of ours is several commands: it may wait for half an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self

from terrible.storage.faults import CardError

SILENCE = 300.0
"""Seconds; a card that is tidying up may take several, a kernel that resets its bus a hundred."""
LOOK = 1.0


class Writer(Protocol):
    """A card as it is watched."""

    def silent(self) -> float: ...

    def give_up(self, why: CardError) -> None: ...


class Watch:
    """While it is entered, cards that are silent for too long are given up."""

    def __init__(self, writers: Iterable[Writer]) -> None:
        self._writers = list(writers)
        self._over = Event()
        self._thread = Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            for writer in [one for one in self._writers if one.silent() > SILENCE]:
                self._writers.remove(writer)
                writer.give_up(CardError(f"the card has not answered for {SILENCE:g} s"))
