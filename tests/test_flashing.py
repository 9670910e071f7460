"""Cards are written side by side, and what is not whole is never booted."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from terrible.errors import Code
from terrible.model import Answer, Event, Phase, Progress
from terrible.sim.families import FAMILIES
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi
from terrible.state import State
from tests import clock
from tests.cluster import IMAGE, Rig, boot_directory, cluster


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


async def flashed(rig: Rig, slots: str, image: str = IMAGE, *, force: bool = False) -> list[Answer]:
    """Every answer to a new request, up to the last."""
    number = str(len(rig.broker.answers) + 1000)
    rig.broker.ask("flash", slots, force=force, number=number, image=image)

    def answers() -> list[Answer]:
        return [answer for request, answer in rig.broker.answers if request.id == number]

    await rig.broker.until(lambda: bool(answers()) and answers()[-1].status in ("done", "error"))
    return answers()


def events(rig: Rig, slot: str, kind: str) -> list[Event]:
    return [n for n in rig.broker.news if isinstance(n, Event) and (n.slot.name, n.kind) == (slot, kind)]


def test_every_card_is_written_at_once_and_every_node_is_up_again(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi(), Pi(), Pi()]) as rig:
            await rig.until(Phase.UP)
            began = asyncio.get_running_loop().time()
            answers = await flashed(rig, "all")
            took = asyncio.get_running_loop().time() - began
            assert (answers[-1].status, set(rig.disks.cards.values())) == ("done", {IMAGE})
            one = 2 * 1e9 / 35e6
            assert 4 * one < took < 4 * one + 30, "all share the hub, and nobody waits for another's turn"
            await rig.until(Phase.UP)
            for slot in rig.slots:
                phases = rig.broker.phases(slot.name)
                assert phases[phases.index(Phase.FLASHING) - 1] is Phase.STARTING
                assert phases[-1] is Phase.UP
                assert len(events(rig, slot.name, "flashed")) == 1
            assert [rig.cuts(n) for n in range(1, 5)] == [2, 2, 2, 2], "into the firmware, and back"

    clock.run(story())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_taken_to_its_card_and_back(base: Path, family: str) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(FAMILIES[family])]) as rig:
            await rig.until(Phase.UP)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            await rig.until(Phase.UP)
            shown = rig.broker.transcripts("node1")[-2]
            assert (shown.outcome, shown.files[0].name) == ("disk", FAMILIES[family].bootcode)

    clock.run(story())


def test_progress_tells_bytes_rate_and_what_is_left(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await flashed(rig, "node1")
            told = [n for n in rig.broker.news if isinstance(n, Progress) and n.phase is Phase.FLASHING]
        writing = [news for news in told if news.file == "writing"]
        assert writing[-1].sent == writing[-1].total == 1_000_000_000
        assert [news.sent for news in writing] == sorted(news.sent for news in writing)
        assert all(news.rate == 35e6 for news in told[1:])
        assert [n.left for n in writing if n.left is not None] == sorted(
            (n.left or 0 for n in writing), reverse=True
        )
        assert [n.file for n in told[:1]] == ["preparing"]
        assert {news.file for news in told[1:]} == {"writing", "verifying"}

    clock.run(story())


def test_one_card_that_fails_stops_no_other_and_its_node_is_not_booted(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        state = State(tmp_path / "state.json")
        async with cluster(base, [Pi(), Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.disks.broken.add("node2")
            answers = await flashed(rig, "all")
            assert (answers[-1].status, answers[-1].code) == ("error", Code.DIRTY_CARD)
            assert set(answers[-1].data["failed"]) == {"node2"}
            await rig.until(Phase.UP, "node1")
            await rig.until(Phase.OFF, "node2")
            report = rig.broker.last("node2")
            assert report is not None
            assert report.problem is not None
            assert (report.problem.code, report.wish) == (Code.DIRTY_CARD, True)
        again = State(tmp_path / "state.json")
        async with cluster(base, [Pi(), Pi()], state=again) as rig:
            await rig.until(Phase.OFF, "node2")
            assert rig.broker.transcripts("node2") == [], "also after a restart"
            rig.broker.ask("boot", "node2", number="7")
            await rig.broker.until(lambda: any(a.code == "dirty_card" for _, a in rig.broker.answers))
            assert (await flashed(rig, "node2"))[-1].status == "done", "but it may be flashed again"
            await rig.until(Phase.UP, "node2")
        assert State(tmp_path / "state.json").latch("node2") is None
        assert State(tmp_path / "state.json").image_on_card("node2") == "5f" * 32

    clock.run(story())


def test_a_card_is_dirty_from_its_first_byte_on_whatever_ends_the_agent(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()], state=State(tmp_path / "state.json")) as rig:
            rig.broker.ask("flash", "node1", image=IMAGE)
            await rig.broker.until(lambda: any(isinstance(n, Progress) and n.total for n in rig.broker.news))
        assert State(tmp_path / "state.json").latch("node1") == Code.DIRTY_CARD

    clock.run(story())


@pytest.mark.parametrize("answer", ["accepted", "done"])
def test_an_agent_that_stops_leaves_no_pi_behind_that_is_a_disk(base: Path, answer: str) -> None:
    """No agent would ever boot it: it runs. `flash --direct` stops as soon as it is done."""

    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("flash", "node1", image=IMAGE)
            await rig.until(Phase.FLASHING)
            await rig.broker.until(lambda: rig.broker.answers[-1][1].status == answer)
            port = rig.cluster.ports[rig.slots[0].location]
        assert not await port.powered()

    clock.run(story())


def test_a_card_that_was_never_touched_is_not_dirty(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        state = State(tmp_path / "state.json")
        pis = [Pi(), Pi(faults=[Fault(Kind.LOADER_SILENT, times=None)])]
        async with cluster(base, pis, state=state) as rig:
            await rig.until(Phase.UP, "node1")
            answers = await flashed(rig, "all")
            assert answers[-1].data["failed"]["node2"]["code"] == "boot_failed"
            assert rig.disks.cards == {"node1": IMAGE}, "the other has its image"
            assert state.latch("node2") is None

    clock.run(story())


def test_what_is_refused_before_the_card_is_touched_leaves_it_as_it_was(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        state = State(tmp_path / "state.json")
        async with cluster(base, [Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            rig.disks.small.add("node1")
            answers = await flashed(rig, "node1")
            assert (answers[-1].code, answers[-1].message) == ("not_flashed", "node1: the card is too small")
            assert state.latch("node1") is None
            await rig.until(Phase.UP)

    clock.run(story())


def test_a_pi_that_fails_once_on_the_way_to_its_card_is_tried_again(base: Path) -> None:
    async def story() -> None:
        pi = Pi()
        async with cluster(base, [pi]) as rig:
            await rig.until(Phase.UP)
            pi.faults = [Fault(Kind.BOOTCODE_STALLS, times=1)]
            assert (await flashed(rig, "node1"))[-1].status == "done"
            assert [t.outcome for t in rig.broker.transcripts("node1")] == ["up", "failed", "disk"]
            numbers = [t.attempt for t in rig.broker.transcripts("node1")]
            assert numbers == sorted(set(numbers)), "attempts are counted on"

    clock.run(story())


def test_a_node_is_shut_down_before_its_card_is_written(base: Path) -> None:
    async def story() -> None:
        told: list[str] = []
        pi = Pi()
        tell = pi.tell
        pi.tell = lambda order: (told.append(order), tell(order))[1]  # type: ignore[method-assign, func-returns-value]
        async with cluster(base, [pi]) as rig:
            await rig.until(Phase.UP)
            await flashed(rig, "node1")
        assert told == ["poweroff"]

    clock.run(story())


def test_a_running_neighbour_on_a_ganged_hub_protects_the_power(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi()], ganged=True) as rig:
            await rig.until(Phase.UP)
            assert (await flashed(rig, "node1"))[-1].code == Code.POWER_PROTECTED
            assert rig.disks.cards == {}
            assert [rig.phase(slot.name) for slot in rig.slots] == [Phase.UP, Phase.UP]

    clock.run(story())


def test_a_slot_that_is_wished_off_is_flashed_and_off_again(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node1", "off")
            await rig.until(Phase.OFF)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            await rig.until(Phase.OFF)
            await asyncio.sleep(600)
            assert (rig.phase("node1"), rig.disks.cards) == (Phase.OFF, {"node1": IMAGE})

    clock.run(story())


@pytest.mark.parametrize("image", ["", "nowhere.img", "../raspios.img.xz", "/dev/sda"])
def test_only_images_that_there_are(base: Path, image: str) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            (answer,) = await flashed(rig, "node1", image)
            assert (answer.code, rig.phase("node1")) == ("bad_request", Phase.UP)

    clock.run(story())


def test_a_slot_is_busy_while_its_card_is_written(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            rig.broker.ask("flash", "node1", image=IMAGE, number="1")
            await rig.until(Phase.FLASHING)
            rig.broker.ask("power", "node1", "off", number="2")
            await rig.broker.until(lambda: any(a.code == "busy" for _, a in rig.broker.answers))
            assert rig.phase("node1") is Phase.FLASHING

    clock.run(story())


def test_an_empty_slot_keeps_nobody_waiting(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi()]) as rig:
            await rig.until(Phase.UP)
            await rig.cluster.ports[rig.slots[1].location].stop()
            rig.cluster.ports[rig.slots[1].location].pi = None
            answers = await flashed(rig, "all")
            assert set(answers[-1].data["failed"]) == {"node2"}
            assert rig.disks.cards == {"node1": IMAGE}

    clock.run(story())


def test_the_first_boot_after_a_flash_may_take_long_and_the_next_may_not(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        state = State(tmp_path / "state.json")
        pi = Pi()
        async with cluster(base, [pi], state=state) as rig:
            await rig.until(Phase.UP)
            pi.timing = replace(pi.timing, kernel=800.0)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            assert State(tmp_path / "state.json").first_boot("node1"), "also over a restart"
            await rig.until(Phase.STARTING)
            await rig.until(Phase.UP)
            assert [t.outcome for t in rig.broker.transcripts("node1")][-2:] == ["disk", "up"]
            rig.broker.ask("power", "node1", "cycle", number="2")
            await rig.until(Phase.FAILED)
        assert not State(tmp_path / "state.json").first_boot("node1")

    clock.run(story())


def test_the_first_boots_words_are_served_until_the_node_has_started_over_or_is_up(base: Path) -> None:
    """Raspberry Pi OS grows its card in its first boot and restarts: the same words would begin that anew."""

    async def story() -> None:
        (base / "cmdline.txt.template").write_text("root=/dev/mmcblk0p2 ${first_boot} host=${name}\n")
        words = b"init=/usr/lib/raspberrypi-sys-mods/firstboot"
        plain = b"root=/dev/mmcblk0p2  host=node1\n"
        first = plain.replace(b"  ", b" " + words + b" ")
        pi = Pi()
        async with cluster(base, [pi]) as rig:
            await rig.until(Phase.UP)
            assert pi.read["cmdline.txt"] == digest(plain)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            await rig.broker.until(lambda: pi.read.get("cmdline.txt") == digest(first))
            await rig.until(Phase.STARTING)
            port = rig.cluster.ports[rig.slots[0].location]
            await port.stop()  # it starts over by itself
            port.start()
            await rig.until(Phase.UP)
            assert pi.read["cmdline.txt"] == digest(plain)
            rig.broker.ask("power", "node1", "cycle", number="2")
            await rig.until(Phase.STARTING)
            await rig.until(Phase.UP)
            assert pi.read["cmdline.txt"] == digest(plain)

    clock.run(story())


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_image_that_is_damaged_disturbs_no_node(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(), Pi()]) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node2", "off")
            await rig.until(Phase.OFF, "node2")
            rig.disks.images["cut.img"] = 0
            answers = await flashed(rig, "all", "cut.img")
            assert (answers[-1].status, answers[-1].code) == ("error", Code.NOT_FLASHED)
            assert answers[-1].message == "cut.img is cut off"
            await asyncio.sleep(600)
            assert [rig.phase(slot.name) for slot in rig.slots] == [Phase.UP, Phase.OFF]
            assert ([rig.cuts(n) for n in (1, 2)], rig.disks.cards) == ([0, 1], {})
            assert (await flashed(rig, "all"))[-1].status == "done", "and no slot stays busy"

    clock.run(story())


def test_a_dirty_card_stays_dirty_where_the_next_image_is_damaged(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        state = State(tmp_path / "state.json")
        state.set_latch("node1", Code.DIRTY_CARD)
        async with cluster(base, [Pi()], state=state) as rig:
            await rig.until(Phase.OFF)
            rig.disks.images["cut.img"] = 0
            assert (await flashed(rig, "node1", "cut.img"))[-1].code == Code.NOT_FLASHED
            assert (rig.phase("node1"), state.latch("node1")) == (Phase.OFF, Code.DIRTY_CARD)

    clock.run(story())


def tree(base: Path, name: str, sha256: str) -> None:
    """Boot files of another image, as `terrible image boot` leaves them."""
    made = boot_directory(base / name)
    (made / "kernel.img").write_bytes(name.encode() * 1000)
    (made / ".terrible-image.json").write_text(json.dumps({"image": f"{name}.img", "sha256": sha256}))


def test_a_slot_is_tied_to_the_boot_tree_of_the_image_on_its_card(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        tree(base, "v2", "5f" * 32)
        pis = [Pi(), Pi()]
        state = State(tmp_path / "state.json")
        kernels = {name: digest((base / name / "kernel.img").read_bytes()) for name in ("", "v2")}

        def booted() -> list[str]:
            return [name for pi in pis for name in kernels if pi.read["kernel.img"] == kernels[name]]

        async with cluster(base, pis, state=state) as rig:
            await rig.until(Phase.UP)
            assert booted() == ["", ""]
            await flashed(rig, "node2")
            await rig.until(Phase.STARTING, "node2")
            await rig.until(Phase.UP)
            assert booted() == ["", "v2"]
            served = rig.broker.transcripts("node2")[-1].files
            assert {file.layer for file in served if file.name == "kernel.img"} == {"tree v2"}
        async with cluster(base, pis, state=State(tmp_path / "state.json")) as rig:
            await rig.until(Phase.UP)
            rig.broker.ask("power", "node2", "cycle", number="1")
            await rig.until(Phase.STARTING, "node2")
            await rig.until(Phase.UP)
            assert booted() == ["", "v2"], "also after a restart of the agent"

    clock.run(story())


def test_a_card_that_was_released_dirty_is_tied_to_nothing(base: Path, tmp_path: Path) -> None:
    async def story() -> None:
        tree(base, "v2", "5f" * 32)
        state = State(tmp_path / "state.json")
        async with cluster(base, [Pi()], state=state) as rig:
            await rig.until(Phase.UP)
            await flashed(rig, "node1")
            rig.disks.broken.add("node1")
            await flashed(rig, "node1")
            await rig.until(Phase.OFF)
            rig.broker.ask("release", "node1", number="1")
            await rig.until(Phase.UP)
            layers = {file.layer for file in rig.broker.transcripts("node1")[-1].files}
            assert "tree v2" not in layers
        assert (state.image_on_card("node1"), state.first_boot("node1")) == ("", None)

    clock.run(story())


def test_whoever_flashes_is_told_what_the_node_will_not_like(base: Path) -> None:
    async def story() -> None:
        (base / ".terrible-image.json").write_text(json.dumps({"image": "old.img", "sha256": "0d" * 32}))
        async with cluster(base, [Pi()]) as rig:
            first = await flashed(rig, "node1")
            tree(base, "v2", "5f" * 32)
            rig.disks.stock.add(IMAGE)
            second = await flashed(rig, "node1")
            rig.disks.stock.clear()
            third = await flashed(rig, "node1")
            said = [event.message for event in events(rig, "node1", "flashed")]
        kernel = f"the slot's boot files are of old.img: terrible image boot {IMAGE}"
        starts = f"a Pi Zero or 3 starts from this card, not from the head: terrible image prepare {IMAGE}"
        told = [answers[-1].data["remarks"] for answers in (first, second, third)]
        assert told == [{"node1": kernel}, {"node1": starts}, {}]
        whole = f"{IMAGE} is on its card, verified"
        assert said == [f"{whole}; but {kernel}", f"{whole}; but {starts}", whole]

    clock.run(story())
