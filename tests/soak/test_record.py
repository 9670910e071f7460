"""What is made of transcripts: where the seconds of a boot went, and where a failed one stood."""

from __future__ import annotations

from terrible.remote.heard import Boot, File, StageTime, Standing
from terrible.soak import record


def boot(outcome: str, *stages: tuple[str, float]) -> Boot:
    times = tuple(StageTime(stage, seconds) for stage, seconds in stages)
    return Boot(1, 100.0, outcome, "why", times)


WAY = (("arrival", 0.0), ("rom", 1.5), ("loader", 4.0), ("starting", 9.0), ("gadget", 0.1), ("starting", 3.0))


def waiting(since: float) -> Standing:
    return Standing("waiting", "on", since, "s", 0)


def test_what_follows_the_gadget_is_its_way_to_up() -> None:
    assert record.stages([boot("up", *WAY)], [waiting(99.25)]) == {
        "arrival": 0.75,
        "rom": 1.5,
        "loader": 4.0,
        "starting": 9.0,
        "gadget": 3.1,
    }


def test_the_arrival_is_counted_from_the_last_power_on_before_it() -> None:
    found = record.stages([boot("up", *WAY)], [waiting(40.0), waiting(98.0), waiting(101.0)])
    assert found["arrival"] == 2.0
    assert "arrival" not in record.stages([boot("up", *WAY)], [])


def test_a_rom_that_came_back_counts_whole() -> None:
    again = boot("up", ("arrival", 0.0), ("rom", 1.0), ("loader", 0.5), ("rom", 2.0), ("loader", 4.0))
    assert record.stages([again], [])["rom"] == 3.0


def test_a_failed_attempt_stands_where_it_ended() -> None:
    (failure,) = record.failures([boot("failed", *WAY[:3]), boot("up", *WAY), boot("left", *WAY[:2])])
    assert (failure.stage, failure.seconds, failure.diagnosis) == ("loader", 4.0, "why")
    assert record.failures([boot("failed", *WAY)])[0].stage == "gadget"


def test_a_cycle_without_a_transcript_stands_where_its_slot_is() -> None:
    phases = ("waiting", "rom", "loading", "starting", "off")
    assert [record.ended_in([], phase) for phase in phases] == [
        "arrival",
        "rom",
        "loader",
        "starting",
        "arrival",
    ]
    assert record.ended_in([boot("failed", *WAY[:2])], "off") == "rom"


def test_only_what_decides_is_kept_of_the_files() -> None:
    names = ("bootcode4.bin", "start4.elf", "kernel.img", "config.txt")
    files = (*(File(name, f"hash of {name}") for name in names), File("start.elf"))
    assert set(record.firmware([Boot(1, 0.0, "up", files=files)])) == {"bootcode4.bin", "start4.elf"}
