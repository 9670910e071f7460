"""A head that lacks something writes no card: the agent goes on, and every node boots as before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from terrible.model import CardNews, Code, HostError, Phase
from terrible.seams import Card
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
