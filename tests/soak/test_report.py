"""What a soak leaves behind, as a person and as a program read it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from terrible.soak import report, summary
from terrible.soak.statistics import wilson

from .rows import ABOUT, STALLED, failed, interrupted, up

MIXED = [up("node1", 1), up("node1", 2, STALLED), interrupted("node1", 3), up("node2", 1), failed("node2", 2)]


def test_what_was_interrupted_counts_neither_way() -> None:
    found = summary.finding(MIXED)
    assert (found.up.successes, found.up.trials, found.interrupted) == (3, 4, 1)
    assert (found.first_try.successes, found.first_try.trials) == (2, 4)
    assert (found.up.low, found.up.high) == wilson(3, 4)
    assert found.attempts == {1: 2, 2: 1}


def test_a_slot_is_judged_by_its_own_cycles() -> None:
    slots = summary.by_slot(MIXED, ["node1", "node2"])
    assert [(f.up.successes, f.up.trials) for f in slots.values()] == [(2, 2), (1, 2)]
    assert slots["node1"].up.failures_below == pytest.approx(1.0)
    assert slots["node2"].up.failures_below is None


def test_diagnoses_tell_what_was_recovered_from_what_was_not() -> None:
    (diagnosis,) = summary.diagnoses(MIXED)
    assert (diagnosis.text, diagnosis.attempts, diagnosis.cycles) == (STALLED.diagnosis, 4, 1)


def test_durations_are_those_of_cycles_that_came_up() -> None:
    cycles = [up("node1", n, rom=float(n)) for n in range(1, 22)] + [failed("node1", 22)]
    rom = summary.finding(cycles).stages["rom"]
    assert (rom.median, rom.p95, rom.count) == (11.0, 20.0, 21)


def test_the_csv_reads_back_line_by_line() -> None:
    nasty = replace(failed("node2", 2), diagnosis='said "no", twice\n and again')
    text = report.csv_head() + "".join(report.csv_line(cycle) for cycle in [MIXED[1], nasty])
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["slot"], first["outcome"], first["attempts"], first["rom_s"]) == ("node1", "up", "2", "1.5")
    assert (first["failed_in"], first["attempts_failed"]) == ("rom", STALLED.diagnosis)
    assert first["firmware"] == "bootcode.bin=aa11|start.elf=bb22"
    assert first["started"] == "2023-11-14T22:13:20Z"
    assert (second["diagnosis"], second["ended_in"], second["rom_s"]) == (nasty.diagnosis, "rom", "")


def test_the_json_is_strict_and_holds_what_the_page_says() -> None:
    read = json.loads(report.document(MIXED, ABOUT), parse_constant=pytest.fail)
    assert (read["total"]["up"]["successes"], read["total"]["up"]["trials"]) == (3, 4)
    assert read["by_slot"]["node2"]["stages"]["rom"]["median"] == 1.5
    assert read["firmware"][0] == {"name": "bootcode.bin", "sha256": "aa11", "cycles": 3}
    assert (read["version"], read["kernel"], read["started"]) == ("0.1.0", "6.12.1", 1_700_000_000.0)


def test_a_soak_without_a_cycle_is_reported_too() -> None:
    read = json.loads(report.document([], ABOUT), parse_constant=pytest.fail)
    assert read["total"]["cycle"] == {"median": None, "p95": None, "count": 0}
    assert "nothing was tried" in report.page([], ABOUT)


def test_the_page_names_rates_stages_reasons_and_hashes() -> None:
    page = report.page(MIXED, ABOUT)
    assert "- Up again: 3/4, 75.00 % (30.06 … 95.44)." in page
    assert "| node1 | 22.0 / 22.0 | 0.500 / 0.500 | 1.500 / 1.500 |" in page
    assert "| the ROM stalled a transfer | 4 | 1 |" in page
    assert "| bootcode.bin | `aa11` | 3 |" in page
    assert "rule of three" not in page
    assert "rule of three" in report.page(MIXED[:2], ABOUT)


def test_no_page_of_simulated_pis_can_be_taken_for_real_ones() -> None:
    simulated = replace(ABOUT, simulated="4 Pis, 50 times as fast as real ones")
    assert "no figure here is from a Raspberry Pi" in report.page(MIXED, simulated)
    assert "(simulated)" in report.line(MIXED, simulated)
    assert "imulated" not in report.page(MIXED, ABOUT) + report.line(MIXED, ABOUT)


def test_a_diagnosis_cannot_break_the_table() -> None:
    nasty = replace(failed("node2", 2), diagnosis="a | b\n| c |", failures=())
    assert "| a \\| b \\| c \\| | 0 | 1 |" in report.page([nasty], ABOUT)
