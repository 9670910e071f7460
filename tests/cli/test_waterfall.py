"""The picture of an attempt, in a width of 80 columns and in others."""

from __future__ import annotations

import pytest

from terrible.cli.waterfall import Bar, drawn, file_bars, size, stage_bars, step_bars, waterfall
from terrible.remote.heard import Boot, File, StageTime

STAGES = (
    StageTime("arrival", 1.0),
    StageTime("rom", 2.0),
    StageTime("loader", 4.0),
    StageTime("starting", 10.0),
    StageTime("gadget", 2.0),
    StageTime("starting", 1.0),
)
BOOTCODE = File("bootcode.bin", "aa", 52_476, "boot", 0.5)
START = File("start.elf", "bb", 3_000_000, "boot", 2.0)
CONFIG = File("config.txt", None, 0, None, 0.1, ("slot node1", "boot"))
KERNEL = File("kernel.img", "cc", 7_000_000, "slot node1", 1.5)
STEPS = (StageTime("carrier", 0.0), StageTime("ping", 2.5))
BOOT = Boot(
    3, 1_700_000_000.0, "up", "", STAGES, (BOOTCODE, CONFIG, START, CONFIG, KERNEL), STEPS, seconds=20.0
)


def test_stages_follow_each_other_and_the_way_from_gadget_to_up_is_one() -> None:
    bars = stage_bars(STAGES)
    assert [(bar.label, bar.start) for bar in bars] == [
        ("arrival", 0.0),
        ("rom", 1.0),
        ("loader", 3.0),
        ("starting", 7.0),
        ("gadget", 17.0),
    ]
    assert bars[-1].seconds == 3.0


def test_files_lie_one_after_the_other_within_the_stage_that_took_them() -> None:
    assert [(bar.label, bar.start) for bar in file_bars(BOOT)] == [
        ("bootcode.bin", 1.0),
        ("start.elf", pytest.approx(3.1)),
        ("kernel.img", pytest.approx(5.2)),
    ]


def test_a_rom_that_came_back_took_its_bootcode_again() -> None:
    again = Boot(
        1,
        0.0,
        "up",
        stages=(
            StageTime("rom", 1.0),
            StageTime("loader", 5.0),
            StageTime("rom", 1.0),
            StageTime("loader", 2.0),
        ),
        files=(BOOTCODE, START, BOOTCODE, START),
    )
    assert [bar.start for bar in file_bars(again)] == [0.0, 1.0, 6.0, 7.0]


def test_steps_end_with_the_attempt() -> None:
    assert [(bar.label, bar.start) for bar in step_bars(BOOT)] == [("carrier", 17.5), ("ping", 17.5)]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_it_fits_and_says_everything(width: int) -> None:
    lines = waterfall("node1", BOOT, width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= max(width, len(lines[0]))
    assert lines[0].startswith("node1: attempt 3 of 2023-11-1")
    assert lines[0].endswith("up after 20.0 s")
    assert "5 files asked for, 3 sent, 10.1 MB, from 1.0 to 6.7 s" in text
    assert "kernel.img" in text
    assert "7.0 MB    1.50 s" in text
    assert lines[-1] == "not found (most are optional): config.txt"


def test_bars_show_where_the_time_went() -> None:
    lines = waterfall("node1", BOOT, 80)
    starting = next(line for line in lines if line.startswith("starting"))
    assert "10.00 s" in starting
    bar = starting[46:]
    assert len(bar) - len(bar.lstrip()) == 11, "7 of 20 s before it, of 34 columns"
    assert bar.count("█") == 17, "half of 34 columns"


def test_a_failed_attempt_ends_with_its_diagnosis() -> None:
    failed = Boot(1, 0.0, "failed", "the ROM stalled a transfer", (StageTime("rom", 3.0),), seconds=3.0)
    assert waterfall("node3", failed, 80)[-1] == "diagnosis: the ROM stalled a transfer"


def test_what_took_no_time_is_still_seen_and_nothing_leaves_the_picture() -> None:
    assert drawn(Bar("x", 0.0, 0.0), 10.0, 30) == "▏"
    assert len(drawn(Bar("x", 10.0, 5.0), 10.0, 30)) == 30
    assert drawn(Bar("x", 0.0, 0.0), 0.0, 30) == ""


def test_sizes_are_said_as_people_say_them() -> None:
    assert [size(count) for count in (0, 999, 52_476, 6_900_000)] == ["0 B", "999 B", "52.5 kB", "6.9 MB"]
