"""The table of slots, made of messages: what it shows in 80 columns, and the lines where there is none."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from terrible.cli.board import Board
from terrible.cli.listing import age, listing
from terrible.cli.table import WIDTH, table
from terrible.errors import Code, Problem
from terrible.model import FileRecord, Phase, Progress, Report, StageRecord, Transcript
from terrible.mqtt import payloads
from terrible.mqtt.topics import Topics
from terrible.seams import News
from tests.mqtt.examples import CLUSTER, INFO, SESSION, SLOTS, report, reports

TOPICS = Topics(CLUSTER)
STATUS = f"{TOPICS.base}/status"
LONG = Problem(
    Code.BOOT_FAILED, "asked for kernel.img, no layer has it (looked in slot node1, profile base, boot)"
)


def told(board: Board, *news: News) -> list[str]:
    """The lines that it makes of them."""
    said = [publication for one in news for publication in payloads.publications(one, TOPICS, SESSION, 0.0)]
    lines = [board.take(publication.topic, publication.payload) for publication in said]
    return [line for line in lines if line]


def board(*news: News) -> Board:
    made = Board(CLUSTER)
    made.take(STATUS, b"online")
    told(made, INFO, *news)
    return made


def shown(made: Board, width: int = WIDTH) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(table(made, width))
    return captured.get().splitlines()


def transcript(slot: str, outcome: str = "up") -> Transcript:
    file = FileRecord("start.elf", 1000, None, "boot", 1.0)
    return Transcript(slot, 1, 0.0, [StageRecord("rom", 1.0)], [file], seconds=42.04, outcome=outcome)


def test_a_line_tells_of_each_change_and_of_nothing_twice() -> None:
    made = Board(CLUSTER)
    assert made.take(STATUS, b"online") == f"agent of {CLUSTER} online"
    assert told(made, INFO, report(SLOTS[0], Phase.ROM)) == ["node1 rom: 10.42.0.11"]
    assert told(made, report(SLOTS[0], Phase.ROM)) == []
    assert told(made, replace(report(SLOTS[0], Phase.FAILED), problem=LONG)) == [
        f"node1 failed: {LONG.message}"
    ]
    assert made.take(STATUS, b"offline") == f"agent of {CLUSTER} offline"


def test_only_chosen_slots_are_shown() -> None:
    made = board(*reports())
    made.chosen = ["node2"]
    assert [row.name for row in made.rows] == ["node2"]
    assert told(made, report(SLOTS[0], Phase.OFF), report(SLOTS[1], Phase.OFF)) == ["node2 off: 10.42.0.12"]


def test_slots_are_in_the_agents_order() -> None:
    made = board(*reversed(reports()))
    assert [row.name for row in made.rows] == ["node1", "node2", "node3", "node4"]


def test_the_table_fits_80_columns_whatever_it_holds() -> None:
    problem = replace(report(SLOTS[0], Phase.QUARANTINED), problem=LONG)
    slot = replace(SLOTS[1], name="a-slot-with-a-name-of-many-words", location=SLOTS[1].location)
    made = board(problem, report(slot))
    told(made, replace(INFO, slots=(SLOTS[0], slot)), *reports()[2:])
    lines = shown(made)
    assert max(map(len, lines)) <= 80
    assert len(lines) == 4, "no line is wrapped"
    assert "quarantined" in lines[2]
    assert "asked for kernel" in lines[2]
    assert "a-slot-with-a-n…" in lines[3]


def test_names_and_ports_are_whole() -> None:
    lines = shown(board(*reports()))
    assert [line.split()[:3] for line in lines[2:]] == [
        [slot.name, str(slot.location), "up"] for slot in SLOTS
    ]


def card(sent: float, total: float) -> Progress:
    return Progress(SLOTS[0], Phase.FLASHING, int(sent), "verifying", int(total), 35e6, 750.0)


def test_a_card_has_its_bytes_its_rate_and_the_time_that_is_left() -> None:
    made = board(report(SLOTS[0], Phase.FLASHING), *reports()[1:])
    told(made, replace(report(SLOTS[0], Phase.FLASHING), addresses=()), card(12.3e9, 31.9e9))
    line = shown(made)[2]
    assert line.split()[:3] == ["node1", "1-1.1", "verifying"]
    assert line.rstrip().endswith("  12.3/31.9 GB  35 MB/s  12:30 left")
    told(made, card(98e6, 250e6))
    assert "  98/250 MB  35 MB/s" in shown(made)[2]


@pytest.mark.parametrize("width", [40, 60, 79, 200])
def test_in_a_narrow_window_names_ports_and_phases_are_whole(width: int) -> None:
    made = board(*reports())
    told(made, replace(report(SLOTS[0], Phase.FLASHING), addresses=()), card(12.3e9, 31.9e9))
    lines = shown(made, width)
    assert max(map(len, lines)) <= min(width, WIDTH)
    assert [line.split()[:3] for line in lines[2:]] == [
        ["node1", "1-1.1", "verifying"],
        *([slot.name, str(slot.location), "up"] for slot in SLOTS[1:]),
    ]


def test_the_headline_counts() -> None:
    made = board(report(SLOTS[0]), *reports(Phase.LOADING)[1:])
    assert made.headline() == "rack-1 on head: 1 of 4 up"


def test_the_bar_moves_by_bytes_once_a_transcript_has_told_how_many_there_are() -> None:
    made = board(report(SLOTS[0], Phase.LOADING), Progress(SLOTS[0], Phase.LOADING, 500, "start.elf"))
    assert made.rows[0].share == 0.1
    told(made, transcript("node2"))
    assert abs(made.rows[0].share - 0.45) < 1e-9
    told(made, Progress(SLOTS[0], Phase.LOADING, 5000, "start.elf"))
    assert made.rows[0].share == 0.8, "never beyond its phase"


def test_what_an_agent_that_has_gone_said_is_marked() -> None:
    made = board(*reports())
    assert not any(row.stale for row in made.rows)
    made.take(STATUS, b"offline")
    assert all(row.stale for row in made.rows)
    assert made.up == 0
    assert made.headline() == "rack-1 on head: agent offline; this is what it said last"


def test_it_is_complete_with_the_record_of_every_boot() -> None:
    made = board(*reports())
    assert not made.complete(4)
    told(made, transcript("node2", "failed"), *(transcript(slot.name) for slot in SLOTS))
    assert made.complete(4)
    assert made.recovered == 1


def test_the_list_has_a_line_for_each_slot_with_everything_in_it() -> None:
    failed: Report = replace(report(SLOTS[1], Phase.QUARANTINED), problem=LONG)
    made = board(report(SLOTS[0]), failed, *reports()[2:])
    told(made, transcript("node1"))
    lines = listing(made, 1_700_000_160.0, None)
    assert lines[0] == "rack-1 on head: 3 of 4 up"
    assert lines[1].split() == ["slot", "port", "phase", "since", "boot"]
    assert lines[2].split() == ["node1", "1-1.1", "up", "1", "min", "42.0", "s", "10.42.0.11"]
    assert lines[3].endswith(LONG.message)
    cut = listing(made, 1_700_000_160.0, 80)
    assert max(map(len, cut)) == 80
    assert cut[3].endswith("…")


def test_ages_are_said_as_people_say_them() -> None:
    assert [age(seconds) for seconds in (-3, 59, 60, 3 * 3600 + 120, 200_000)] == [
        "0 s",
        "59 s",
        "1 min",
        "3 h 2 min",
        "2 d 7 h",
    ]
