"""The memory that all nodes share: never overdrawn, first come first served, nothing lost."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from terrible.usb.budget import MEGABYTE, Budget
from tests import clock

ROUNDS = 10_000 if os.environ.get("LONG") == "1" else 300


def test_half_of_what_usbfs_has_is_ours() -> None:
    budget = Budget()
    assert budget.try_take(8 * MEGABYTE)
    assert not budget.try_take(1)


def test_what_is_free_is_given_at_once() -> None:
    async def story() -> None:
        budget = Budget(10)
        await asyncio.gather(budget.take(4), budget.take(6))
        assert asyncio.get_running_loop().time() == 0
        assert not budget.try_take(1)
        budget.give_back(4)
        assert not budget.try_take(5)
        assert budget.try_take(4)

    clock.run(story())


def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    async def story() -> None:
        budget = Budget(10)
        assert budget.try_take(6)
        served: list[int] = []

        async def take(size: int) -> None:
            await budget.take(size)
            served.append(size)

        takers = []
        for size in (8, 1, 2):
            takers.append(asyncio.create_task(take(size)))
            await asyncio.sleep(0.001)
        assert not budget.try_take(1), "there is room for 1, but somebody waits"
        assert served == []
        budget.give_back(6)
        await asyncio.sleep(0.001)
        assert served == [8, 1]
        budget.give_back(8)
        await asyncio.gather(*takers)
        assert served == [8, 1, 2]

    clock.run(story())


@pytest.mark.parametrize("granted", [False, True])
def test_a_waiter_that_gives_up_takes_nothing_along(granted: bool) -> None:
    """Also where its turn comes in the very moment in which it gives up."""

    async def story() -> None:
        budget = Budget(10)
        assert budget.try_take(10)
        waiter = asyncio.create_task(budget.take(7))
        await asyncio.sleep(0.001)
        if granted:
            budget.give_back(10)
            waiter.cancel()
        else:
            waiter.cancel()
            budget.give_back(10)
        await asyncio.wait({waiter})
        assert waiter.cancelled()
        assert budget.try_take(10)

    clock.run(story())


def test_when_the_first_gives_up_the_next_gets_what_is_free() -> None:
    async def story() -> None:
        budget = Budget(10)
        assert budget.try_take(6)
        large = asyncio.create_task(budget.take(8))
        await asyncio.sleep(0.001)
        small = asyncio.create_task(budget.take(3))
        await asyncio.sleep(0.001)
        large.cancel()
        await asyncio.sleep(0.001)
        assert small.done()

    clock.run(story())


class Bank:
    """A budget, and who has how much of it by our own books."""

    def __init__(self, total: int) -> None:
        self.budget, self.total, self.out = Budget(total), total, 0
        self.served: dict[int, float] = {}

    async def node(self, number: int, dice: random.Random) -> None:
        """Take, hold and give back, a few times."""
        for turn in range(dice.randint(1, 6)):
            await asyncio.sleep(dice.choice([0, 0.01, 0.02]))
            await self._turn(100 * number + turn, dice.randint(1, self.total), dice)

    async def _turn(self, ticket: int, size: int, dice: random.Random) -> None:
        if dice.random() < 0.3:
            if not self.budget.try_take(size):
                return
        else:
            self.served[ticket] = float("inf")  # in the order of asking
            try:
                await self.budget.take(size)
            except asyncio.CancelledError:
                del self.served[ticket]
                raise
            self.served[ticket] = asyncio.get_running_loop().time()
        self.out += size
        assert self.out <= self.total, "more is in flight than there is"
        try:
            await asyncio.sleep(dice.choice([0, 0.01, 0.03]))
        finally:
            self.out -= size
            self.budget.give_back(size)


async def crowd(dice: random.Random) -> None:
    """Many nodes at random, some of which are cut off; at the end everything is back."""
    bank = Bank(dice.randint(1, 30))
    nodes = [asyncio.create_task(bank.node(number, dice)) for number in range(dice.randint(1, 8))]
    for node in nodes:
        if dice.random() < 0.3:
            asyncio.get_running_loop().call_later(dice.choice([0, 0.01, 0.02, 0.05]), node.cancel)
    await asyncio.wait(nodes)
    for node in nodes:
        if not node.cancelled():
            node.result()
    assert bank.out == 0
    assert list(bank.served.values()) == sorted(bank.served.values()), "somebody was overtaken"
    assert bank.budget.try_take(bank.total), "something was lost"


def test_any_crowd_is_served_in_order_within_the_budget_and_gives_everything_back() -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"seed {seed}, {ROUNDS} crowds")
    for number in range(ROUNDS):
        clock.run(crowd(random.Random(seed + number)))
