"""Progress is thinned out, and its timer runs only while there is some."""

from __future__ import annotations

import asyncio

from terrible.model import Progress
from terrible.mqtt.pace import EVERY, Pace

from .brokers import run, until
from .examples import progress


def test_the_first_at_once_then_the_newest() -> None:
    async def test() -> None:
        said: list[Progress] = []
        pace = Pace(said.append)
        for sent in range(10_000):
            pace.tell(progress(sent))
        assert said == [progress(0)]
        waited = await until(lambda: len(said) > 1)
        assert said == [progress(0), progress(9999)]
        assert waited > EVERY / 2

    run(test())


def test_what_is_overtaken_is_not_said() -> None:
    async def test() -> None:
        said: list[Progress] = []
        pace = Pace(said.append)
        pace.tell(progress(1))
        pace.tell(progress(2))
        pace.forget("node1")
        await asyncio.sleep(EVERY * 1.5)  # nothing to wait for: it must not come
        assert said == [progress(1)]
        pace.tell(progress(3))
        assert said == [progress(1), progress(3)], "the timer has run out"
        pace.tell(progress(4))
        pace.stop()
        pace.tell(progress(5))
        assert said == [progress(1), progress(3), progress(5)]
        pace.stop()

    run(test())
