"""How a Pi boots, and what follows when it does not: every row of the table of faults."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.errors import Code
from terrible.limits import Limits
from terrible.model import Phase
from terrible.sim.cluster import SimCluster, plugged
from terrible.sim.families import DISK, FAMILIES
from terrible.sim.faults import HOSTILE_NAMES, Fault, Kind
from terrible.sim.pi import Pi
from tests import clock
from tests.cluster import boot_directory, cluster


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return boot_directory(tmp_path / "boot")


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_pi_boots_from_power_to_up(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            assert rig.broker.phases("node1") == [
                Phase.WAITING,
                Phase.ROM,
                Phase.LOADING,
                Phase.STARTING,
                Phase.UP,
            ]
            (transcript,) = rig.broker.transcripts("node1")
            assert transcript.outcome == "up"
            served = {file.name for file in transcript.files if file.layer}
            assert {"bootcode.bin", "start.elf", "kernel.img", "cmdline.txt"} <= served
            last = rig.broker.last("node1")
            assert last is not None
            assert last.addresses == ("10.42.0.11",)

    clock.run(story())


def test_every_byte_arrives_as_it_lies_on_the_disk(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.UP)
            (transcript,) = rig.broker.transcripts("node1")
            told = {file.name: file.sha256 for file in transcript.files}
            assert rig.pi(1).read == {name: told[name] for name in rig.pi(1).read}
            assert rig.pi(1).bootcode == told["bootcode.bin"]

    clock.run(story())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_boots(base: Path, family: str) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(FAMILIES[family])]) as rig:
            await rig.until(Phase.UP)
            assert rig.cuts(1) == 0
            (transcript,) = rig.broker.transcripts("node1")
            assert transcript.files[0].name == FAMILIES[family].bootcode

    clock.run(story())


def test_four_pis_boot_at_once(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi() for _ in range(4)]) as rig:
            four = await rig.until(Phase.UP)
        async with cluster(base, [Pi()]) as rig:
            before = now()
            one = await rig.until(Phase.UP) - before
        stagger = 3 * Limits().stagger
        assert four < one + stagger + 1.0

    clock.run(story())


def test_metadata_goes_into_the_transcript(base: Path) -> None:
    async def story() -> None:
        pi = Pi(FAMILIES["2712"], metadata=["*MAC_ADDR*2c:cf:67:00:00:01", "*USER_SERIAL_NUM*abc"])
        async with cluster(base, [pi]) as rig:
            await rig.until(Phase.UP)
            (transcript,) = rig.broker.transcripts("node1")
            assert transcript.metadata == {"MAC_ADDR": "2c:cf:67:00:00:01", "USER_SERIAL_NUM": "abc"}

    clock.run(story())


RECOVERED = [
    Kind.BOOTCODE_STALLS,
    Kind.ROM_HANGS,
    Kind.ROM_REJECTS,
    Kind.ROM_VANISHES,
    Kind.LOADER_SILENT,
    Kind.STALLS_AFTER_START,
    Kind.KERNEL_PANICS,
]


@pytest.mark.parametrize("kind", RECOVERED)
def test_a_fault_is_recovered_by_one_power_cycle_and_slows_nobody(base: Path, kind: Kind) -> None:
    async def story() -> None:
        start = now()
        async with cluster(base, [Pi() for _ in range(4)]) as rig:
            alone = await rig.until(Phase.UP, "node1", "node2", "node3") - start
        start = now()
        async with cluster(base, [Pi() for _ in range(3)] + [Pi(faults=[Fault(kind)])]) as rig:
            beside = await rig.until(Phase.UP, "node1", "node2", "node3") - start
            assert beside < alone * 1.05
            await rig.until(Phase.UP)
            assert [rig.cuts(n) for n in (1, 2, 3, 4)] == [0, 0, 0, 1]
            first, second = rig.broker.transcripts("node4")
            assert (first.outcome, second.outcome) == ("failed", "up")
            assert first.diagnosis

    clock.run(story())


@pytest.mark.parametrize(
    ("kind", "diagnosis"),
    [
        (Kind.ROM_VANISHES, "bootcode sent, never came back in 15 s"),
        (Kind.LOADER_SILENT, "the second stage asked for nothing in 60 s"),
        (Kind.STALLS_AFTER_START, "stalled after start.elf: no request for 60 s"),
        (Kind.ROM_REJECTS, "the ROM refused the bootcode (result 1)"),
        (Kind.KERNEL_PANICS, "no gadget 180 s after config.txt"),
    ],
)
def test_the_diagnosis_is_one_that_a_person_can_act_on(base: Path, kind: Kind, diagnosis: str) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(kind)])]) as rig:
            await rig.until(Phase.UP)
            assert rig.broker.transcripts("node1")[0].diagnosis == diagnosis

    clock.run(story())


def test_a_missing_kernel_is_named_with_where_it_was_looked_for(base: Path) -> None:
    (base / "kernel.img").unlink()

    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.FAILED)
            (transcript,) = rig.broker.transcripts("node1")
            assert "asked for kernel.img, no layer has it (looked in node1, 1-1.1, 2710, base" in (
                transcript.diagnosis
            )

    clock.run(story())


def test_missing_bootcode_is_named(base: Path) -> None:
    (base / "bootcode.bin").unlink()

    async def story() -> None:
        async with cluster(base, [Pi()]) as rig:
            await rig.until(Phase.FAILED)
            last = rig.broker.last("node1")
            assert last is not None
            assert last.problem is not None
            assert last.problem.code is Code.MISSING_FILE
            assert "bootcode.bin" in last.problem.message

    clock.run(story())


def test_a_node_that_never_boots_is_quarantined_dark_after_three_attempts(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.LOADER_SILENT, times=None)])]) as rig:
            await rig.until(Phase.QUARANTINED)
            assert len(rig.broker.transcripts("node1")) == 3
            await rig.broker.until(lambda: rig.cuts(1) == 3)

    clock.run(story())


def test_three_malformed_requests_are_tolerated(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.MALFORMED, times=3)])]) as rig:
            await rig.until(Phase.UP)
            (transcript,) = rig.broker.transcripts("node1")
            assert transcript.bad_requests == 3
            assert rig.cuts(1) == 0

    clock.run(story())


def test_the_fourth_malformed_request_is_a_failure(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.MALFORMED, times=4)])]) as rig:
            await rig.until(Phase.UP)
            assert rig.broker.transcripts("node1")[0].bad_requests == 4
            assert rig.cuts(1) == 1

    clock.run(story())
    assert all(character >= " " for record in caplog.records for character in record.getMessage())


def test_hostile_names_are_answered_as_missing(base: Path) -> None:
    (base / "escape").symlink_to("/etc")
    (base / "overlays").mkdir(exist_ok=True)

    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.HOSTILE_NAMES)])]) as rig:
            await rig.until(Phase.UP)
            assert {rig.pi(1).read[name] for name in HOSTILE_NAMES} == {None}
            assert rig.cuts(1) == 0

    clock.run(story())


def test_a_pi_that_comes_back_as_rom_is_served_again_without_a_cycle(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.ROM_AGAIN, times=3)])]) as rig:
            await rig.until(Phase.UP)
            (transcript,) = rig.broker.transcripts("node1")
            assert transcript.restarts == 3
            assert rig.cuts(1) == 0

    clock.run(story())


def test_one_that_keeps_coming_back_as_rom_is_said_to_and_served_on(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(faults=[Fault(Kind.ROM_AGAIN, times=5)])]) as rig:
            await rig.until(Phase.UP)
            said = [r.problem.message for r in rig.broker.reports("node1") if r.problem]
            assert said[0].startswith("started over 4 times")
            assert rig.cuts(1) == 0
            last = rig.broker.last("node1")
            assert last is not None
            assert last.problem is None

    clock.run(story())


def test_an_empty_slot_is_no_failure(base: Path) -> None:
    async def story() -> None:
        pis = plugged([Pi(), Pi()])
        empty = list(pis)[1]
        pis[empty] = None
        async with cluster(base, [], sim=SimCluster(pis)) as rig:
            await rig.until(Phase.UP, "node1")
            await asyncio.sleep(3600)
            assert rig.broker.phases("node2") == [Phase.WAITING]
            assert rig.cuts(2) == 0

    clock.run(story())


def test_a_node_that_becomes_a_disk_is_left_to_be_one(base: Path) -> None:
    async def story() -> None:
        async with cluster(base, [Pi(becomes=DISK)]) as rig:
            await rig.until(Phase.DISK)
            await asyncio.sleep(3600)
            assert rig.cuts(1) == 0

    clock.run(story())
