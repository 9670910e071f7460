"""Ending in time: every step of a goodbye has its limit, and nobody cuts it short.

Tasks are waited for with asyncio.wait, which neither cancels nor is confused by the cancellation that
is the reason for the goodbye.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import aiomqtt

GOODBYE = 0.4
"""Seconds for each of: ending what is under way, `offline`, the disconnect."""

log = logging.getLogger(__name__)


async def in_peace(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, which must be near, even if cancelled meanwhile; that is passed on then."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


async def within(limit: float, work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, to the end of the connection, or for `limit` seconds."""
    task = asyncio.create_task(_as_far_as_possible(work))
    try:
        await asyncio.wait([task], timeout=limit)
    finally:
        task.cancel()


async def end(task: asyncio.Task[None]) -> None:
    """Cancel it and wait for its end, however it ends."""
    task.cancel()
    await asyncio.wait([task])
    look_at(task)


async def uninterrupted(work: Coroutine[Any, Any, Any]) -> Any:
    """Await it in a task of its own: Python 3.11's wait_for, inside, may swallow a cancellation."""
    task = asyncio.create_task(work)
    task.add_done_callback(look_at)
    return await asyncio.shield(task)


def look_at(task: asyncio.Task[Any]) -> None:
    """Asyncio logs an error that nobody has looked at, as where whoever waited for it was stopped."""
    if not task.cancelled():
        task.exception()


async def _as_far_as_possible(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (aiomqtt.MqttError, OSError) as error:
        log.debug("not done on leaving the broker: %s", error)
