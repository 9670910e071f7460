"""A head that lacks something writes no card: the agent goes on, and every node boots as before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from terrible.errors import Code, HostError
from terrible.model import CardNews, Phase
from terrible.seams import Card
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from terrible.state import State
from tests import clock
from tests.cluster import IMAGE, boot_directory, cluster
from tests.conftest import fill
from tests.test_flashing import flashed


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


def test_no_card_is_touched_before_it_is_on_disk_that_it_is_dirty(base: Path, small_disk: Path) -> None:
    """Else the node would be booted from half an image after the next start of the agent."""

    async def story() -> None:
        path = small_disk / "state.json"
        state = State(path)
        async with cluster(base, [Pi(), Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            fill(small_disk)
            last = (await flashed(rig, "all"))[-1]
            assert last.code == Code.STATE_FILE
            assert last.data["failed"].keys() == {"node1", "node2"}
            why = f"its card was not touched: cannot remember wishes in {path}: No space left on device"
            assert last.message == f"node1: {why}; node2: {why}"
            assert rig.disks.cards == {}
            assert [state.latch(slot.name) for slot in rig.slots] == [None, None]
            await rig.until(Phase.UP)
            (small_disk / "ballast").unlink()
            assert (await flashed(rig, "all"))[-1].status == "done"
            assert rig.disks.cards == {"node1": IMAGE, "node2": IMAGE}

    clock.run(story())


def test_a_card_that_was_dirty_before_stays_so_on_a_full_disk(base: Path, small_disk: Path) -> None:
    """What is on disk already need not be written: that card may be mended all the same."""

    async def story() -> None:
        state = State(small_disk / "state.json")
        state.set_latch("node1", Code.DIRTY_CARD)
        fill(small_disk)
        async with cluster(base, [Pi()], state=state) as rig:
            await rig.until(Phase.OFF)
            rig.disks.broken.add("node1")
            assert (await flashed(rig, "node1"))[-1].code == Code.DIRTY_CARD
        assert State(small_disk / "state.json").latch("node1") == Code.DIRTY_CARD

    clock.run(story())


def test_what_the_head_lacks_ends_the_flash_and_not_the_agent(base: Path) -> None:
    """A host key that cannot be made, an image that cannot be unpacked beforehand."""

    async def no_room(image: str, cards: Sequence[Card]) -> AsyncIterator[CardNews]:
        raise HostError("host key of node1: No space left on device")
        yield

    async def story() -> None:
        state = State(None)
        async with cluster(base, [Pi(), Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.disks.write = no_room  # type: ignore[method-assign]
            last = (await flashed(rig, "node1"))[-1]
            assert (last.code, last.message) == (
                Code.NOT_FLASHED,
                "node1: host key of node1: No space left on device",
            )
            assert state.latch("node1") is None, "nobody has touched its card"
            await rig.until(Phase.UP)

    clock.run(story())


def test_a_short_while_its_card_is_written_does_not_make_it_clean(base: Path, tmp_path: Path) -> None:
    """There is one reason per slot, and whoever sees to the short must not boot half an image by that."""

    async def story() -> None:
        state = State(tmp_path / "state.json")
        async with cluster(base, [Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("flash", "node1", image=IMAGE)
            await rig.broker.until(lambda: "node1" in rig.disks.cards)
            rig.alarms.draw_too_much(rig.slots[0].location)
            await rig.until(Phase.OFF)
        assert State(tmp_path / "state.json").latch("node1") == Code.DIRTY_CARD

    clock.run(story())


def test_what_is_said_of_a_card_that_was_let_go_takes_no_latch_away(base: Path, tmp_path: Path) -> None:
    """The writing could not begin, but the port was shorted meanwhile: no node is booted there."""

    async def story() -> None:
        state = State(tmp_path / "state.json")
        begun, short = asyncio.Event(), asyncio.Event()

        async def fails(image: str, cards: Sequence[Card]) -> AsyncIterator[CardNews]:
            begun.set()
            await short.wait()
            raise HostError("no host key could be made")
            yield

        async with cluster(base, [Pi(), Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.disks.write = fails  # type: ignore[method-assign]
            rig.broker.ask("flash", "all", image=IMAGE, number="7")
            await begun.wait()
            rig.alarms.draw_too_much(rig.slots[0].location)
            await rig.until(Phase.OFF, "node1")
            short.set()
            await rig.until(Phase.UP, "node2")
        assert State(tmp_path / "state.json").latch("node1") is not None
        assert State(tmp_path / "state.json").latch("node2") is None

    clock.run(story())


def test_a_card_is_clean_only_once_it_is_on_disk_what_its_first_boot_needs(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[dict[str, object]] = []

    def replace(path: Path, text: str) -> None:
        written.append(json.loads(text))

    async def story() -> None:
        async with cluster(base, [Pi()], state=State(tmp_path / "state.json")) as rig:
            await rig.until(Phase.UP)
            monkeypatch.setattr("terrible.state._replace", replace)
            assert (await flashed(rig, "node1"))[-1].status == "done"

    clock.run(story())
    dirty = ["latches" in held for held in written]
    assert dirty == sorted(dirty, reverse=True), "dirty from the first to the last but one"
    whole = written[dirty.index(False)]
    assert whole.keys() >= {"flashed", "first_boots"}


def test_a_card_that_was_let_go_while_others_were_awaited_is_not_written(base: Path, tmp_path: Path) -> None:
    """Its descriptor is closed by then, and its number may be another card's."""

    async def story() -> None:
        state = State(tmp_path / "state.json")
        late = Pi()
        async with cluster(base, [Pi(), late], state=state) as rig:
            await rig.until(Phase.UP)
            late.faults = [Fault(Kind.BOOTCODE_STALLS, times=1)]
            rig.broker.ask("flash", "all", image=IMAGE, number="7")
            await rig.until(Phase.FLASHING, "node1")
            rig.alarms.draw_too_much(rig.slots[0].location)
            await rig.until(Phase.OFF, "node1")
            await rig.broker.until(
                lambda: any(a.status == "error" for r, a in rig.broker.answers if r.id == "7")
            )
            assert rig.disks.cards == {"node2": IMAGE}
            assert state.latch("node1") == Code.OVERCURRENT
            await rig.until(Phase.UP, "node2")

    clock.run(story())


@pytest.mark.parametrize(("seam", "code"), [("check", "bad_request"), ("look", "not_flashed")])
def test_an_image_on_a_disk_that_no_longer_answers_holds_up_nothing(base: Path, seam: str, code: str) -> None:
    """Neither other requests, nor the slots: what runs runs on, and a short is seen to at once."""

    async def story() -> None:
        asked = asyncio.Event()

        async def never(image: str) -> None:
            asked.set()
            await asyncio.Event().wait()

        async with cluster(base, [Pi(), Pi()]) as rig:
            await rig.until(Phase.UP)
            setattr(rig.disks, seam, never)
            rig.broker.ask("flash", "all", image=IMAGE, number="7")
            await asked.wait()
            rig.broker.ask("power", "node2", "off", number="8")
            rig.alarms.draw_too_much(rig.slots[0].location)
            async with asyncio.timeout(50):
                await rig.until(Phase.OFF)
            async with asyncio.timeout(70):
                await rig.broker.until(lambda: rig.broker.answers[-1][0].id == "7")
            last = rig.broker.answers[-1][1]
            assert (last.code, last.message[:40]) == (code, f"{IMAGE} could not be looked at in")

    clock.run(story())


def test_what_is_asked_for_while_the_image_is_looked_at_comes_first(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            look = rig.disks.look

            async def slowly(image: str) -> None:
                await asyncio.sleep(20)
                await look(image)

            rig.disks.look = slowly  # type: ignore[method-assign]
            rig.broker.ask("flash", "node1", image=IMAGE, number="7")
            await asyncio.sleep(15)
            rig.broker.ask("power", "node1", "cycle", number="8")
            await rig.broker.until(lambda: rig.broker.answers[-1][1].code == "busy")
            assert rig.broker.answers[-1][0].id == "7"
            assert rig.disks.cards == {}

    clock.run(story())
