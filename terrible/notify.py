"""Telling systemd how we are (sd_notify(3)): one datagram to the socket it names, if it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence


def notify(state: str) -> None:
    """Say `READY=1`, `STOPPING=1`, `STATUS=…`; without systemd nobody is told."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
        channel.connect(address)  # it is advice: nobody listening is nobody's harm
        channel.send(state.encode())


async def feed_watchdog(stuck: Callable[[], Sequence[str]]) -> None:
    """Feed systemd's watchdog at half its period, as long as no slot is stuck."""
    period = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    said = False
    while period:
        if names := stuck():
            notify(f"STATUS=stuck: {', '.join(names)}")
        else:
            notify("WATCHDOG=1" + "\nSTATUS=" * said)
        said = bool(names)
        await asyncio.sleep(period / 2)
