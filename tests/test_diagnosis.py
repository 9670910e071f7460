"""What went wrong, in words that a person can act on."""

from __future__ import annotations

import pytest

from terrible import diagnosis
from terrible.model import FileRecord, Stage, Transcript

LOOKED_IN = ("node1", "base")


def record(*names: str) -> Transcript:
    """A transcript of these files, in order; a leading `-` marks what no layer has."""
    files = [
        FileRecord(name[1:], 0, None, None, 0.1, LOOKED_IN)
        if name.startswith("-")
        else FileRecord(name, 100, "sha", "base", 0.1)
        for name in names
    ]
    return Transcript("node1", 1, 0.0, files=files)


WELL = ("bootcode.bin", "-autoboot.txt", "config.txt", "start.elf", "fixup.dat")
"""What every Zero asks for; the miss is normal."""


def test_a_rom_that_never_came_back() -> None:
    why = diagnosis.never_came_back(Stage.ROM, 15.0, record("bootcode.bin"))
    assert why == "bootcode sent, never came back in 15 s"


def test_a_kernel_that_never_became_a_gadget() -> None:
    transcript = record(*WELL, "kernel.img", "bcm2708-rpi-zero.dtb")
    why = diagnosis.never_came_back(Stage.LOADER, 180.0, transcript)
    assert why == "no gadget 180 s after bcm2708-rpi-zero.dtb"


def test_a_missing_kernel_is_named_with_where_it_was_looked_for() -> None:
    why = diagnosis.silent(60.0, record(*WELL, "-kernel7.img", "-kernel.img", "-kernel7.img"))
    assert why == (
        "stalled after fixup.dat: no request for 60 s; "
        "asked for kernel7.img, kernel.img, no layer has it (looked in node1, base)"
    )


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (("-start.elf",), "asked for start.elf, no layer has it"),
        (("-start4.elf", "-start_cd.elf"), "asked for start4.elf, start_cd.elf, no layer has it"),
        (("start.elf", "-bcm2708-rpi-zero.dtb"), "asked for bcm2708-rpi-zero.dtb, no layer has it"),
        (("start.elf", "-kernel8.img"), "asked for kernel8.img, no layer has it"),
    ],
)
def test_each_required_file_is_named_however_the_boot_ended(asked: tuple[str, ...], named: str) -> None:
    transcript = record(*asked)
    assert named in diagnosis.silent(60.0, transcript)
    assert named in diagnosis.never_came_back(Stage.LOADER, 180.0, transcript)


@pytest.mark.parametrize(
    "asked",
    [
        ("start.elf", "-kernel7.img", "kernel.img", "-bcm2708-rpi-zero-w.dtb", "bcm2708-rpi-zero.dtb"),
        ("config.txt", "-recovery.elf"),
        ("start.elf", "-recovery.elf", "-dt-blob.bin", "-armstub.bin", "-recovery7.img"),
        ("start.elf", "-overlays/dwc2.dtbo"),
        ("start.elf",),
    ],
)
def test_a_miss_that_did_no_harm_is_not_brought_up(asked: tuple[str, ...]) -> None:
    assert "no layer" not in diagnosis.silent(60.0, record(*asked))
    assert "no layer" not in diagnosis.never_came_back(Stage.LOADER, 180.0, record(*asked))


@pytest.mark.parametrize("bootcode", ["bootcode.bin", "bootcode4.bin", "bootcode5.bin"])
def test_a_second_stage_that_asked_for_nothing(bootcode: str) -> None:
    assert diagnosis.silent(60.0, record(bootcode)) == "the second stage asked for nothing in 60 s"
    assert diagnosis.silent(60.0, record()) == "the second stage asked for nothing in 60 s"


def test_a_stall_names_the_last_file_that_was_served() -> None:
    assert diagnosis.silent(60.0, record("config.txt", "start.elf", "-recovery.elf")) == (
        "stalled after start.elf: no request for 60 s"
    )


def test_a_stall_before_anything_was_served_reads_well() -> None:
    assert "after nothing was served" not in diagnosis.silent(60.0, record("-config.txt"))


def test_a_node_that_keeps_starting_over() -> None:
    transcript = record("config.txt", "start.elf")
    transcript.restarts = 4
    assert diagnosis.keeps_restarting(transcript) == "started over 4 times, the last time after start.elf"


def test_a_gadget_that_does_not_answer() -> None:
    assert diagnosis.unreachable(120.0) == (
        "the network gadget is there, but the node has not answered for 120 s"
    )
