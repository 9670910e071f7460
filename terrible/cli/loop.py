"""Running a command's coroutine: the loop, the signals, and errors as one line."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from terrible.errors import HostError

log = logging.getLogger(__name__)


def run(work: Callable[[], Coroutine[Any, Any, None]], level: int = logging.INFO) -> int:
    """Run until done, SIGTERM or SIGINT; a HostError is one line on stderr and its exit code."""
    logging.basicConfig(level=level, format="%(levelname).1s %(message)s", stream=sys.stderr)
    failed: HostError | None = None
    try:
        with asyncio.Runner(loop_factory=_factory()) as runner:
            runner.run(_until_signal(work()))
    except* HostError as errors:
        failed = first(errors)
    return complain(failed) if failed else 0


def complain(error: HostError) -> int:
    """One clear line per fault on stderr; returns the exit code."""
    for line in str(error).splitlines():
        print(f"terrible: {line}", file=sys.stderr)
    return error.exit_code


def first(errors: BaseExceptionGroup[HostError]) -> HostError:
    """The first error that is no group."""
    error: HostError | BaseExceptionGroup[HostError] = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    log.info("event loop: %s", type(asyncio.get_running_loop()).__module__.partition(".")[0])
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _once(task.cancel))
    with contextlib.suppress(asyncio.CancelledError):
        await work


def _once(stop: Callable[[], object]) -> Callable[[], None]:
    """A second signal must not cut short what the first one began: no Pi is left powered and unserved."""
    left = [stop]

    def handle() -> None:
        if left:
            left.pop()()

    return handle


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where a wheel of it exists (none on ARMv6 and ARMv7), else asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
