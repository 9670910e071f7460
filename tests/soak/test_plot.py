"""The picture: that it shows each slot, each stage and each failure, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

from terrible.soak import plot
from terrible.soak.record import Cycle

from .rows import ABOUT, STALLED, failed, interrupted, up

SVG = "{http://www.w3.org/2000/svg}"


def drawn(cycles: list[Cycle]) -> ET.Element:
    return ET.fromstring(plot.picture(cycles, ABOUT))


def paths(picture: ET.Element, kind: str) -> list[str]:
    return [path.attrib["d"] for path in picture.iter(f"{SVG}path") if path.attrib["class"] == kind]


def words(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def test_it_has_a_row_per_slot_and_a_cell_per_stage() -> None:
    picture = drawn([up("node1", 1), up("node2", 1)])
    cells = [rect for rect in picture.iter(f"{SVG}rect") if rect.attrib["class"] == "c"]
    assert len(cells) == 2 * 5
    assert {"node1", "node2", "1/1 up", "power → ROM", "ROM → LOADER", "files"} <= set(words(picture))


def test_a_recovered_failure_is_a_tick_and_a_failed_cycle_a_bar() -> None:
    picture = drawn([up("node1", 1, STALLED), up("node1", 2), failed("node2", 1), failed("node2", 2)])
    assert [path.count("M") for path in paths(picture, "a")] == [1]
    assert [path.count("M") for path in paths(picture, "f")] == [2]
    assert {"1 ✕", "2 ✕"} <= set(words(picture))


def test_where_all_is_well_nothing_is_red() -> None:
    picture = drawn([up("node1", n) for n in range(1, 4)])
    assert paths(picture, "a") + paths(picture, "f") == []
    assert not [text for text in picture.iter(f"{SVG}text") if "r" in text.attrib["class"].split()]


def test_a_slower_slot_lies_higher_in_the_same_scale() -> None:
    picture = drawn([up("node1", 1, rom=1.0), up("node2", 1, rom=3.0)])
    rom = paths(picture, "t")[1::5]
    quick, slow = (
        float(re.findall(r"[\d.]+", path)[1]) - row for path, row in zip(rom, (92, 176), strict=True)
    )
    assert slow < quick - 10


def test_one_that_took_very_long_does_not_press_the_others_down() -> None:
    cycles = [up("node1", n, rom=1.0 + n / 100) for n in range(1, 50)] + [up("node1", 50, rom=900.0)]
    assert "0 … 3 s" in words(drawn(cycles))


def test_what_was_interrupted_is_not_drawn() -> None:
    assert plot.picture([up("node1", 1), interrupted("node1", 2)], ABOUT) == plot.picture(
        [up("node1", 1)], ABOUT
    )


def test_it_is_one_file_for_light_and_dark_that_loads_nothing() -> None:
    text = plot.picture([up("node1", 1)], ABOUT)
    assert "prefers-color-scheme:dark" in text
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\(|@import|<script|var\(", text)


def test_names_cannot_break_out_of_the_picture() -> None:
    text = plot.picture([], replace(ABOUT, cluster="<b>&"))
    assert "&lt;b&gt;&amp;" in text
    ET.fromstring(text)


def test_500_cycles_of_4_slots_stay_small_enough_for_a_page() -> None:
    cycles = [up(f"node{s}", n, rom=1 + n % 97 / 50) for s in range(1, 5) for n in range(1, 501)]
    assert len(plot.picture(cycles, ABOUT)) < 300_000
