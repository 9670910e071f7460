"""What waits stays small and is the newest of its kind."""

from __future__ import annotations

import asyncio

from terrible.mqtt.outbox import QUEUED, QUEUED_BYTES, Outbox
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Topics

from .brokers import run


def state(name: str, payload: bytes = b"1") -> Publication:
    return Publication(f"terrible/c/node/{name}/state", payload)


def event(payload: bytes) -> Publication:
    return Publication("terrible/c/node/a/event", payload, retain=False)


def progress(payload: bytes) -> Publication:
    return Publication("terrible/c/node/a/progress", payload, qos=0, retain=False)


SUMMARY = Publication("terrible/c/summary", b"s")


async def drained(outbox: Outbox) -> list[Publication]:
    """What it hands out, all of it confirmed."""
    taken = [await outbox.take() for _ in range(len(outbox))]
    for key, publication in taken:
        outbox.confirm(key, publication)
    return [publication for _, publication in taken]


def filled(*publications: Publication) -> Outbox:
    outbox = Outbox(Topics("c"))
    for publication in publications:
        outbox.put(publication)
    return outbox


def test_the_latest_of_a_topic_wins_and_each_event_counts() -> None:
    async def test() -> None:
        outbox = filled(
            state("a", b"1"), event(b"1"), progress(b"1"), state("a", b"2"), event(b"1"), progress(b"2")
        )
        taken = await drained(outbox)
        assert taken == [state("a", b"2"), event(b"1"), progress(b"2"), event(b"1")]

    run(test())


def test_no_news_waits_behind_the_summary() -> None:
    async def test() -> None:
        later = Publication(SUMMARY.topic, b"t")
        outbox = filled(state("a"), SUMMARY, state("b"), later, state("c"))
        assert await drained(outbox) == [state("a"), state("b"), later, state("c")]

    run(test())


def test_what_is_said_already_is_not_said_again() -> None:
    async def test() -> None:
        outbox = filled(state("a"), progress(b"1"))
        await drained(outbox)
        outbox.put(state("a"))
        assert len(outbox) == 0
        outbox.put(progress(b"1"))
        assert len(outbox) == 1

    run(test())


def test_take_wakes_at_once() -> None:
    async def test() -> None:
        outbox = filled()
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        outbox.put(state("a"))
        async with asyncio.timeout(1):
            assert (await taking)[1] == state("a")

    run(test())


def test_repeat_has_the_whole_tree_once_more_and_nothing_twice() -> None:
    async def test() -> None:
        outbox = filled(state("a"), event(b"1"), state("b"))
        under_way = [await outbox.take() for _ in range(2)]
        outbox.put(state("a", b"2"))
        outbox.repeat()
        assert await drained(outbox) == [state("a", b"2"), state("b")], "the event is on its way already"
        for key, publication in under_way:
            outbox.confirm(key, publication)
        outbox.put(Publication(state("b").topic, b""))
        outbox.repeat()
        assert await drained(outbox) == [state("a", b"2"), Publication(state("b").topic, b"")]

    run(test())


def test_refill_has_the_whole_tree_in_order_then_events() -> None:
    async def test() -> None:
        outbox = filled(SUMMARY, state("a"), state("gone"))
        await drained(outbox)
        outbox.put(event(b"1"))
        outbox.put(progress(b"1"))
        await outbox.take()
        outbox.put(event(b"2"))
        outbox.put(state("gone", b""))
        outbox.refill()
        assert await drained(outbox) == [state("a"), SUMMARY, state("gone", b""), event(b"1"), event(b"2")]

    run(test())


def test_what_is_taken_back_waits_again_unless_something_newer_does() -> None:
    async def test() -> None:
        outbox = filled(state("a", b"1"), state("b", b"1"), event(b"1"), event(b"2"))
        taken = [await outbox.take() for _ in range(4)]
        outbox.confirm(*taken[2])
        outbox.put(event(b"3"))
        outbox.put(state("a", b"2"))
        outbox.take_back()
        assert await drained(outbox) == [state("a", b"2"), state("b", b"1"), event(b"2"), event(b"3")]
        outbox.take_back()
        assert len(outbox) == 0

    run(test())


def test_a_late_confirmation_is_of_the_older_value() -> None:
    async def test() -> None:
        outbox = filled(state("a", b"1"))
        older = await outbox.take()
        outbox.put(state("a", b"2"))
        await outbox.take()
        outbox.confirm(*older)
        outbox.take_back()
        assert await drained(outbox) == [state("a", b"2")]

    run(test())


def test_the_queue_is_bounded_and_the_oldest_go() -> None:
    async def test() -> None:
        outbox = filled(*(event(b"%d" % number) for number in range(QUEUED + 5)))
        assert (len(outbox), outbox.dropped) == (QUEUED, 5)
        under_way = await outbox.take()
        assert under_way[1] == event(b"5")
        outbox.put(event(b"new"))
        outbox.confirm(*under_way)
        outbox.take_back()
        assert (len(outbox), outbox.dropped) == (QUEUED, 6)
        assert (await outbox.take())[1] == event(b"6")

    run(test())


def test_large_answers_fill_no_head() -> None:
    """Half of them under way, as where a broker takes them and confirms nothing."""

    async def test() -> None:
        large, outbox = QUEUED_BYTES // 4, filled()
        for number in range(20):
            outbox.put(event(b"%d" % number * large))
            if number % 2:
                await outbox.take()
        held = [*outbox._waiting.values(), *outbox._under_way.values()]
        assert sum(len(publication.payload) for publication in held) <= QUEUED_BYTES
        outbox.take_back()
        last = await drained(outbox)
        assert last[-1] == event(b"19" * large)
        outbox.put(event(b"9" * large))
        assert len(outbox) == 1, "what was confirmed counts no more"

    run(test())
