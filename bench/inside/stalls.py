"""`terrible serve` with a loop that knows how long each of its turns kept it from looking at USB.

`stalls.py FILE {asyncio,uvloop} ARGUMENTS...` runs the unmodified command and writes FILE at its end: the
longest turns, each with the blocking calls made in it, and the longest call of each kind.
A turn can be timed on asyncio's loop only; the calls on both.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import selectors
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from terrible.cli import loop, serve
from terrible.usb import libusb

KEPT = 10

Call = tuple[str, float]


class Watch(selectors.EpollSelector):
    """Between two selects lies one turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.longest: dict[str, float] = {}
        self.turns: list[tuple[float, int, float, list[Call]]] = []
        self.count = 0
        self._back, self._busy = time.perf_counter(), time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._note(time.perf_counter() - self._back, time.thread_time() - self._busy)
        events = super().select(timeout)
        self._back, self._busy = time.perf_counter(), time.thread_time()
        return events

    def _note(self, turn: float, busy: float) -> None:
        self.count += 1
        heapq.heappush(self.turns, (turn, self.count, busy, self.calls))
        if len(self.turns) > KEPT:
            heapq.heappop(self.turns)
        self.calls = []

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            if name == "open" and name not in self.longest:  # the first Pi: what was before is the start
                self.turns.clear()
                self.longest.clear()
            began = time.perf_counter()
            try:
                return call(*arguments)
            finally:
                took = time.perf_counter() - began
                self.calls.append((name, round(1000 * took, 2)))
                self.longest[name] = max(took, self.longest.get(name, 0.0))

        return wrapper

    def report(self) -> dict[str, Any]:
        turns = [
            {
                "ms": round(1000 * turn, 2),
                "cpu": round(1000 * busy, 2),
                "calls": sorted(calls, key=lambda call: -call[1])[:4],
            }
            for turn, _, busy, calls in sorted(self.turns, reverse=True)
        ]
        longest = {name: round(1000 * took, 2) for name, took in self.longest.items()}
        return {"turns": turns, "longest": longest, "count": self.count}


def main(report: str, kind: str, *arguments: str) -> None:
    watch = Watch()
    for where, name in (
        (libusb.UsbContext, "open"),
        (libusb.UsbContext, "_pump"),
        (libusb.UsbContext, "_on_hotplug"),
        (libusb.Handle, "claim"),
        (libusb.Handle, "close"),
        (libusb.Handle, "submit"),
    ):
        setattr(where, name, watch.timed(name.strip("_"), getattr(where, name)))
    if kind == "asyncio":
        setattr(loop, "_factory", lambda: lambda: asyncio.SelectorEventLoop(watch))  # noqa: B010
    serve.main(arguments)
    Path(report).write_text(json.dumps(watch.report()))


if __name__ == "__main__":
    main(*sys.argv[1:])
