"""Progress, thinned out: bytes are sent far faster than anybody reads bars.

One publication costs as much CPU as serving some hundred kilobytes, so that telling every transfer
would slow the boot it tells of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from terrible.model import Progress

EVERY = 0.25
"""Seconds between two publications of one slot's progress."""


class Pace:
    """Passes the first at once and then the newest of each slot; its timer runs only meanwhile."""

    def __init__(self, publish: Callable[[Progress], None]) -> None:
        self._publish = publish
        self._newest: dict[str, Progress] = {}
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, progress: Progress) -> None:
        """Publish it, unless a newer one of its slot comes before its time."""
        self._newest[progress.slot.name] = progress
        if self._timer is None:
            self._flush()

    def forget(self, name: str) -> None:
        """The slot has reported something else since."""
        self._newest.pop(name, None)

    def stop(self) -> None:
        """There is no broker to tell."""
        self._newest.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        newest, self._newest = self._newest, {}
        for progress in newest.values():
            self._publish(progress)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(EVERY, self._flush) if newest else None
