"""A slot whose card holds an image boots from the boot tree of that image, if the head has it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from terrible.tree import RECORD
from terrible.usb.bootfiles import BootFiles, Found, Missing, Roots
from tests.usb.test_bootfiles import SLOTS, find, text, write

OLD, NEW = "0d" * 32, "5f" * 32


def record(base: Path, directory: str, sha256: str) -> None:
    told = {"image": f"{directory or 'base'}.img", "sha256": sha256}
    write(base / directory, RECORD, json.dumps(told))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Boot files of one image, and below them those of another."""
    base = tmp_path / "base"
    for name in ("kernel.img", "initramfs", "bootcode4.bin"):
        write(base, name, "old")
    write(base, "v2/kernel.img", "new")
    record(base, "", OLD)
    record(base, "v2", NEW)
    record(base, "copy", OLD)
    return base


def test_the_tree_of_the_cards_image_takes_the_place_of_everybodys_files(base: Path) -> None:
    files = BootFiles(Roots(base), SLOTS)
    assert (files.tree(NEW), files.tree(OLD), files.tree("ab" * 32), files.tree("")) == ("v2", "", "", "")
    slot = replace(SLOTS[1], tree="v2")
    found = find(files, "kernel.img", slot)
    assert isinstance(found, Found)
    assert (text(found), found.layer) == ("new", "tree v2")
    assert text(find(files, "kernel.img", SLOTS[1])) == "old"
    assert find(files, "initramfs", slot) == Missing(
        "initramfs", ("node2", "1-1.2", "2710", "tree v2", "bootfiles.bin"), None
    ), "what one image lacks must not come from another"
    assert text(find(files, "bootcode4.bin", slot, "2711")) == "old", "no image has it"


def test_what_is_meant_for_the_slot_the_firmware_and_the_chip_still_comes_first(
    base: Path, tmp_path: Path
) -> None:
    files = BootFiles(Roots(base, firmware=tmp_path / "firmware"), SLOTS)
    slot = replace(SLOTS[0], tree="v2")
    write(base, "v2/start.elf", "new")
    for place in ("base/2710", "firmware", "base/profiles/lab", "base/1-1.1", "base/node1"):
        write(tmp_path, f"{place}/start.elf", place)
        assert text(find(files, "start.elf", slot)) == place


def test_a_slots_own_tree_is_nobody_elses(base: Path) -> None:
    record(base, "node3", "ab" * 32)
    record(base, "1-1.2", "cd" * 32)
    files = BootFiles(Roots(base), SLOTS)
    assert (files.tree("ab" * 32), files.tree("cd" * 32)) == ("", "")
    assert files.other_image(SLOTS[2], OLD) == "node3.img"
    assert files.other_image(SLOTS[2], "ab" * 32) == ""


def test_it_is_known_whether_the_files_are_of_the_cards_image(base: Path) -> None:
    files = BootFiles(Roots(base), SLOTS)
    assert files.other_image(SLOTS[0], NEW) == "base.img"
    assert files.other_image(SLOTS[0], OLD) == ""
    assert files.other_image(replace(SLOTS[0], tree="v2"), NEW) == ""
    (base / RECORD).write_text("{damaged")
    assert files.other_image(SLOTS[0], NEW) == "", "files of no known image may be anybody's"
