"""A disk of images that no longer answers costs a few threads, and neither boots nor the agent's end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from threading import Event

import pytest

from terrible.errors import HostError
from terrible.storage.aside import MOST, Aside


def test_what_has_not_come_back_takes_no_thread_of_the_loop_and_has_an_end() -> None:
    async def story() -> None:
        over, aside = Event(), Aside("/images")
        stuck = [asyncio.create_task(aside.do(over.wait)) for _ in range(MOST)]
        await asyncio.sleep(0)
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)
        with pytest.raises(HostError, match="/images: 4 readings have not come back"):
            await aside.do(lambda: 1)
        assert await asyncio.to_thread(lambda: 2) == 2, "boot files are read on"
        over.set()
        while aside._pending and not all(future.done() for future in aside._pending):
            await asyncio.sleep(0)
        assert await aside.do(lambda: 3) == 3

    asyncio.run(story())


def test_what_goes_wrong_is_raised_where_it_is_waited_for() -> None:
    def broken() -> None:
        raise OSError("worn")

    with pytest.raises(OSError, match="worn"):
        asyncio.run(Aside("/images").do(broken))


def test_the_end_waits_for_none_of_them() -> None:
    program = """
import asyncio, threading
from terrible.storage.aside import Aside

async def story():
    try:
        async with asyncio.timeout(0.1):
            await Aside("/images").do(threading.Event().wait)
    except TimeoutError:
        print("ended")

asyncio.run(story())
"""
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert told.stdout == "ended\n"
