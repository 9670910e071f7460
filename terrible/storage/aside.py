"""Reading from a disk that may never answer: in threads of its own, few of them, that nobody waits for.

The loop's own threads serve boot files, and Python waits for those before it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from terrible.errors import HostError

T = TypeVar("T")
MOST = 4
"""Readings at once; each costs a thread for good where the disk does not answer."""


class Aside:
    """Readings of one directory."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pending: list[Future[object]] = []

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises; HostError while too many others have not come back."""
        self._pending = [future for future in self._pending if not future.done()]
        if len(self._pending) >= MOST:
            raise HostError(f"{self._what}: {MOST} readings have not come back; does its disk still answer?")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._pending.append(future)  # type: ignore[arg-type]
        Thread(target=_run, args=(future, work), name="aside", daemon=True).start()
        return await asyncio.wrap_future(future)


def _run(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
        future.set_exception(error)
