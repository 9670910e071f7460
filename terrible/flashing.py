"""A flash: the Pis of several slots show their cards, one image is written to all of them at once, and back.

A card is opened as soon as it shows up, and written once no other is awaited. From then on it counts as
dirty, also over a restart, until it is known to be whole; the slot of a dirty card is not booted.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from terrible import diagnosis
from terrible.attempt import Attempt
from terrible.boot import Means, boot
from terrible.errors import BootError, Code, HostError, Problem
from terrible.model import CardNews, Phase, Progress, Slot, Stage
from terrible.port import Port
from terrible.seams import Card, Device, Disks
from terrible.standing import Standing
from terrible.state import State
from terrible.supply import Supply

log = logging.getLogger(__name__)

Ended = Callable[[Problem | None], None]


@dataclass
class Place:
    """A slot's card in a job. `mark` notes that it is dirty from now on, HostError where that cannot be kept.

    `tell` hears of its progress; `done` gets None once it is whole, or why not.
    """

    card: Card
    mark: Callable[[], None]
    tell: Callable[[CardNews], None]
    done: asyncio.Future[Problem | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Job:
    """One image for several slots. `run` it beside them."""

    def __init__(self, disks: Disks, image: str, slots: Iterable[str]) -> None:
        self.image = image
        self._disks = disks
        self._awaited = set(slots)
        self._places: dict[str, Place] = {}
        self._complete = asyncio.Event()

    def without(self, name: str) -> None:
        """Nobody need wait for the card of this slot: it is open, or will not come."""
        self._awaited.discard(name)
        if not self._awaited:
            self._complete.set()

    async def write(self, slot: Slot, mark: Callable[[], None], tell: Callable[[CardNews], None]) -> None:
        """Open the slot's card and return once it is whole; BootError where it is not, or may not be."""
        async with self._disks.open(slot) as card:
            place = self._places[slot.name] = Place(card, mark, tell)
            self.without(slot.name)
            if (problem := await place.done) is not None:
                raise BootError(problem.message, problem.code)

    async def run(self) -> None:
        """Write it as soon as no card is awaited any more."""
        await self._complete.wait()
        try:
            if cards := [place.card for place in self._places.values() if _marked(place)]:
                await self._write(cards)
        except Exception:  # it ends this job, and the agent goes on: other nodes have nothing to do with it
            log.exception("%s: an error of the agent's own", self.image)
        finally:
            for place in self._places.values():
                _settle(place, Problem(Code.DIRTY_CARD, "the writing ended before this card was done"))

    async def _write(self, cards: Sequence[Card]) -> None:
        try:
            async for news in self._disks.write(self.image, cards):
                self._hear(news)
        except HostError as error:
            for card in cards:
                self._hear(CardNews(card.slot, outcome="failed", error=str(error), touched=False))

    def _hear(self, news: CardNews) -> None:
        place = self._places[news.slot]
        if place.done.done():  # its slot has let it go: what is said of the card now is not the slot's
            return
        place.tell(news)
        if news.outcome == "whole":
            _settle(place, None)
        elif news.outcome:
            _settle(place, Problem(Code.DIRTY_CARD if news.touched else Code.NOT_FLASHED, news.error))


def _marked(place: Place) -> bool:
    """Whether its card may be touched: not before the next start of the agent will know that it was."""
    if place.done.done():  # its slot has let it go: the descriptor is closed, and may be another's by now
        return False
    try:
        place.mark()
    except HostError as error:
        _settle(place, Problem(Code.STATE_FILE, f"its card was not touched: {error}"))
        return False
    place.tell(CardNews(place.card.slot, "preparing"))
    return True


def _settle(place: Place, problem: Problem | None) -> None:
    if not place.done.done():
        place.done.set_result(problem)


class Flashing:
    """One slot's part of a job."""

    def __init__(self, port: Port, supply: Supply, means: Means, standing: Standing, state: State) -> None:
        self._port, self._supply, self._standing, self._state = port, supply, standing, state
        self._slot = standing.report.slot
        self._limits = means.limits
        self._files, self._means = means.files, means.for_cards
        self._before: str | None = None
        self._last = CardNews(self._slot.name)

    async def run(self, job: Job, force: bool, ended: Ended) -> None:
        """Write the card of this slot; `ended` is told how that went. The port is left with its power."""
        self._before = self._state.latch(self._slot.name)
        try:
            await self._supply.cut_gently(force, for_good=False)
            self._standing.say(Phase.OFF)
            await self._supply.give(True, _gives_up)
            await self._card_shows()
            self._standing.say(Phase.FLASHING, power=True)
            await job.write(self._slot, self._mark, self._told)
        except BootError as error:
            job.without(self._slot.name)
            self._standing.happened("not_flashed", error.problem.message, image=job.image)
            ended(error.problem)
        else:
            self._state.set_first_boot(self._slot.name, self._last.first_boot)
            remark = self._remark(job.image)
            what = {"image": job.image, "sha256": self._last.sha256, "remark": remark}
            self._state.set_flashed(self._slot.name, what)
            self._state.set_latch(self._slot.name, None)  # last: whatever ends us before, it does not boot
            said = f"{job.image} is on its card, verified{'; but ' if remark else ''}{remark}"
            self._standing.happened("flashed", said, image=job.image)
            ended(None)
        finally:
            job.without(self._slot.name)

    def _remark(self, image: str) -> str:
        """What the node will meet with this card that nobody wants, if it is known."""
        files, sha256 = self._files, self._last.sha256
        other = files.other_image(replace(self._slot, tree=files.tree(sha256)), sha256)
        return diagnosis.of_card(image, other, card_first=self._last.card_first)

    async def _card_shows(self) -> None:
        """Boot the mass-storage firmware, with a power cycle between attempts; BootError after the last."""
        for number in itertools.count(1):
            try:
                await self._boot()
                return
            except BootError as error:
                if number >= self._limits.attempts:
                    raise
                self._standing.say(Phase.FAILED, error.problem)
            await self._supply.cut(force=False, for_good=False)
            await self._supply.give(True, _gives_up)

    async def _boot(self) -> None:
        attempt = Attempt(self._slot, self._standing.next_attempt(), self._standing, _gives_up)
        outcome, why = "failed", ""
        try:
            async with asyncio.timeout(self._limits.power_on_to_rom):
                await self._port.shows()
            _check(await boot(self._port, self._means, attempt))
            outcome = "disk"
        except TimeoutError:
            why = f"nothing showed up at {self._slot.location} in {self._limits.power_on_to_rom:g} s"
            raise BootError(why) from None
        except BootError as error:
            why = error.problem.message
            raise
        finally:
            self._supply.settled()
            self._standing.attempted(attempt.closed(outcome, why))

    def _mark(self) -> None:
        if not self._state.set_latch(self._slot.name, Code.DIRTY_CARD):
            why = self._state.problem
            self._state.set_latch(self._slot.name, self._before)
            raise HostError(why)

    def _told(self, news: CardNews) -> None:
        if news.outcome:
            self._last = news
            if not news.touched:
                self._state.set_latch(self._slot.name, self._before)
            return
        done = Progress(self._slot, Phase.FLASHING, news.done, news.stage, news.total, news.rate, news.left)
        self._standing.progressed(done)


def _gives_up(why: Problem) -> None:
    """It may take an hour, or for ever, until there is a card: the others of the job do not wait for that."""
    raise BootError(why.message, why.code)


def _check(device: Device) -> None:
    if device.stage is not Stage.DISK:
        raise BootError(f"it came up as {device.stage}, not as a disk; is that mass-storage firmware?")
