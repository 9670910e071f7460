"""Which layer answers, what hides what, and that no node sees anything that is not meant for it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible.errors import BootError, Code, HostError
from terrible.model import Location, Slot
from terrible.sim.faults import HOSTILE_NAMES
from terrible.usb import jail
from terrible.usb.bootfiles import BootFiles, Found, Missing, Roots
from terrible.usb.layers import clean


def make_slot(number: int, profile: str = "", name: str = "", location: str = "") -> Slot:
    place = Location(location or f"1-1.{number}")
    return Slot(
        name or f"node{number}", number, place, "02:00:00:00:00:01", "06:00:00:00:00:01", profile=profile
    )


SLOTS = [make_slot(1, "lab"), make_slot(2), make_slot(3)]


def write(base: Path, name: str, content: str | bytes) -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def find(files: BootFiles, name: str, slot: Slot = SLOTS[0], chip: str = "2710") -> Found | Missing:
    return asyncio.run(files.find(slot, chip, name))


def text(answer: Found | Missing) -> str | None:
    if isinstance(answer, Missing):
        return None
    assert answer.digest.known == hashlib.sha256(answer.content).hexdigest()
    return answer.content.decode()


LAYERS = {
    "node1": "base/node1",
    "1-1.1": "base/1-1.1",
    "profile lab": "base/profiles/lab",
    "firmware": "firmware",
    "2710": "base/2710",
    "base": "base",
}


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    (tmp_path / "base").mkdir()
    return Roots(tmp_path / "base", tmp_path / "firmware")


def test_the_first_layer_that_has_it_answers(tmp_path: Path, roots: Roots) -> None:
    files = BootFiles(roots, SLOTS)
    with tarfile.open(tmp_path / "base" / "bootfiles.bin", "w") as archive:
        archive.add(write(tmp_path, "packed", "bootfiles.bin"), "2710/start.elf")
    for label, folder in {"bootfiles.bin": None, **dict(reversed(LAYERS.items()))}.items():
        if folder:
            write(tmp_path, f"{folder}/start.elf", label)
        found = find(files, "start.elf")
        assert isinstance(found, Found)
        assert (found.name, text(found), found.layer) == ("start.elf", label, label)


def test_a_miss_tells_every_layer_in_order(roots: Roots) -> None:
    files = BootFiles(roots, SLOTS)
    assert find(files, "kernel.img") == Missing(
        "kernel.img", ("node1", "1-1.1", "profile lab", "2710", "base", "bootfiles.bin"), None
    )
    assert find(files, "start4cd.elf", SLOTS[1], "2711") == Missing(
        "start4cd.elf", ("node2", "1-1.2", "firmware", "2711", "base", "bootfiles.bin"), None
    )
    assert find(files, "kernel.img").content == b""


@pytest.mark.parametrize(
    "name", ["kernel.img", "config.txt", "overlays/start.elf", "start/x.elf", "x/bootcode.bin", "startup"]
)
def test_the_firmware_directory_gives_only_firmware(tmp_path: Path, roots: Roots, name: str) -> None:
    write(tmp_path, f"firmware/{name}", "firmware")
    assert text(find(BootFiles(roots, SLOTS), name)) is None


def test_profiles_may_lie_elsewhere(tmp_path: Path, roots: Roots) -> None:
    write(tmp_path, "groups/lab/config.txt", "elsewhere")
    write(tmp_path, "base/profiles/lab/config.txt", "default place")
    files = BootFiles(Roots(roots.base, profiles=tmp_path / "groups"), SLOTS)
    assert text(find(files, "config.txt")) == "elsewhere"
    assert text(find(files, "config.txt", SLOTS[1])) is None


def test_without_overlay_the_slots_own_files_are_left_out(tmp_path: Path, roots: Roots) -> None:
    write(tmp_path, "base/node1/config.txt", "own")
    write(tmp_path, "base/config.txt", "shared")
    files = BootFiles(Roots(roots.base, overlay=False), SLOTS)
    assert text(find(files, "config.txt")) == "shared"
    assert find(files, "node1/config.txt") == Missing("node1/config.txt", (), None)


@pytest.mark.parametrize(("label", "folder"), LAYERS.items())
def test_an_empty_file_hides_the_layers_below(tmp_path: Path, roots: Roots, label: str, folder: str) -> None:
    files = BootFiles(roots, SLOTS)
    write(tmp_path, "base/start.elf", "shown")
    write(tmp_path, f"{folder}/start.elf", "")
    answer = find(files, "start.elf")
    assert isinstance(answer, Missing)
    assert answer.hidden_by == label
    assert answer.looked_in[-1] == label


def test_names_are_taken_without_needless_parts(tmp_path: Path, roots: Roots) -> None:
    write(tmp_path, "base/overlays/dwc2.dtbo", "dwc2")
    found = find(BootFiles(roots, SLOTS), "./overlays//./dwc2.dtbo")
    assert (text(found), found.name) == ("dwc2", "./overlays//./dwc2.dtbo")


# -- what must never be answered ----------------------------------------------------------------


@pytest.fixture(params=["openat2", "walk"])
def hostile(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Roots]:
    """Trees with everything that a name could be led astray by, in every layer."""
    if request.param == "walk":
        monkeypatch.setattr(jail, "_kernel_resolves", lambda: False)
    write(tmp_path, "outside/passwd", "outside")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    for folder in LAYERS.values():
        layer = tmp_path / folder
        (layer / "overlays").mkdir(parents=True, exist_ok=True)
        os.mkfifo(layer / "fifo")
        os.mkfifo(layer / "start.elf")
        (layer / "socket").hardlink_to(tmp_path / "s")
        for link, target in {
            "escape": os.path.relpath(tmp_path / "outside", layer),
            "passwd": "/etc/passwd",
            "root": "/",
            "self": "self",
            "fixup.dat": os.path.relpath(tmp_path / "outside" / "passwd", layer),
            "proc": "/proc/self",
        }.items():
            (layer / link).symlink_to(target)
    yield Roots(tmp_path / "base", tmp_path / "firmware")
    listener.close()


NASTY = (
    *HOSTILE_NAMES,
    *(
        "",
        ".",
        "./",
        "..",
        "../",
        "/",
        "//",
        "overlays/",
        "overlays/.",
        "overlays/..",
        "base/../../outside/passwd",
    ),
    *("passwd", "root/etc/passwd", "self", "start.elf", "fixup.dat", "socket", "proc/environ", "escape"),
    *(
        "config\n.txt",
        "\x1b[2J",
        "a\0b",
        "\0",
        "\x7f",
        "n" * 256,
        "n/" * 200,
        "n" * 250,
        "kernel\udc80",
        "größe",
    ),
    *("../node1/secret", "overlays/../../node1/secret", "..\\node1", "C:/etc/passwd", "*", "config.txt/"),
)


def test_a_hostile_name_is_answered_as_missing(hostile: Roots) -> None:
    files = BootFiles(hostile, SLOTS)
    write(hostile.base, "config.txt", "fine")
    descriptors = len(os.listdir("/proc/self/fd"))
    for name in NASTY:
        assert isinstance(find(files, name), Missing), name
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert text(find(files, "config.txt")) == "fine"


def test_a_miss_tells_what_was_in_the_way(hostile: Roots) -> None:
    answer = find(BootFiles(hostile, SLOTS), "escape/passwd", SLOTS[1])
    assert isinstance(answer, Missing)
    assert "base (a link that leads out)" in answer.looked_in
    answer = find(BootFiles(hostile, SLOTS), "fifo", SLOTS[1])
    assert isinstance(answer, Missing)
    assert "base (no regular file)" in answer.looked_in


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_name_raises(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    base = tmp_path_factory.getbasetemp()
    assert isinstance(find(BootFiles(Roots(base / "nothing"), SLOTS), name), Missing)


@settings(deadline=None)
@given(st.text(alphabet="./ab\n\0", max_size=12))
def test_a_clean_name_is_relative_and_goes_down_only(name: str) -> None:
    cleaned = clean(name)
    if cleaned is not None:
        assert cleaned.isprintable()
        assert not {"", ".", ".."} & set(cleaned.split("/"))
        assert os.path.normpath(name) == cleaned


def test_a_slots_directory_may_be_a_link_but_nothing_below_it_leads_out(tmp_path: Path, roots: Roots) -> None:
    # Cluster HAT: <boot>/<usb path> -> <nfs>/pN/boot
    boot = tmp_path / "nfs" / "p1" / "boot"
    write(boot, "config.txt", "from nfs")
    write(tmp_path, "nfs/p1/shadow", "secret")
    (boot / "shadow").symlink_to("../shadow")
    (boot / "again.txt").symlink_to("config.txt")
    (roots.base / "1-1.1").symlink_to("../nfs/p1/boot")
    files = BootFiles(roots, SLOTS)
    assert text(find(files, "config.txt")) == "from nfs"
    assert text(find(files, "again.txt")) == "from nfs"
    assert text(find(files, "shadow")) is None


# -- one slot never reads another's ----------------------------------------------------------------


def test_no_slot_reads_the_files_of_another(tmp_path: Path) -> None:
    slots = [*SLOTS, make_slot(4, name="compute-node-04", location="3-2.1.4")]
    roots = Roots(tmp_path / "base", profiles=tmp_path / "base" / "groups")
    owners = [own for slot in slots for own in (slot.name, str(slot.location))]
    for owner, layer in itertools.product(owners, ["", "2710/", "groups/lab/"]):
        write(tmp_path, f"base/{layer}{owner}/secret", f"secret of {owner}")
    with tarfile.open(roots.base / "bootfiles.bin", "w") as archive:
        for owner in owners:
            archive.add(roots.base / owner / "secret", f"2710/{owner}/secret")
    files = BootFiles(roots, slots)
    decorate = [
        "{}/secret",
        "./{}/secret",
        "//{}/secret",
        "{}//secret",
        "overlays/../{}/secret",
        "../base/{}/secret",
    ]
    ups = [
        "../{}/secret",
        "{}/./secret",
        "{}/../{}/secret",
        "2710/../{}/secret",
        "groups/lab/{}/secret",
        "2710/{}",
    ]
    for reader, owner, how in itertools.product(slots, owners, decorate + ups):
        for spelled in (owner, owner.upper(), f"{owner}.", f"{owner} "):
            name = how.format(spelled, spelled)
            assert isinstance(find(files, name, reader), Missing), (reader.name, name)
    for slot in slots:
        assert text(find(files, "secret", slot)) == f"secret of {slot.name}"


@pytest.mark.parametrize(
    "first",
    [
        "9-9.9",
        "2-1",
        "p2-1-4",
        "P2-1",
        "profiles",
        "Profiles",
        "groups",
        "COMPUT~1",
        "NODE2",
        "node2.",
        "node2 . ",
    ],
)
def test_in_shared_layers_a_private_place_is_not_even_looked_at(tmp_path: Path, first: str) -> None:
    # Some of these spellings mean a slot's directory only on FAT.
    roots = Roots(tmp_path, profiles=tmp_path / "Groups")
    write(tmp_path, f"{first}/secret", "secret")
    name = f"{first}/secret"
    assert find(BootFiles(roots, SLOTS), name) == Missing(name, ("node1", "1-1.1"), None)


def test_ordinary_directories_are_not_private(tmp_path: Path) -> None:
    write(tmp_path, "overlays/1-1.1/x", "x")
    write(tmp_path, "node10/x", "x")
    files = BootFiles(Roots(tmp_path), SLOTS)
    assert text(find(files, "overlays/1-1.1/x")) == "x"
    assert text(find(files, "node10/x")) == "x"


@pytest.mark.parametrize("name", ["2710", "2711", "2712", "profiles", "1-1"])
def test_a_slot_cannot_be_named_like_another_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError, match=f"named {name}"):
        BootFiles(Roots(tmp_path), [make_slot(1, name=name), make_slot(2, location="1-1")])


# -- troubles of this machine --------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_no_reason_to_boot_another(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(roots.base, "node1/cmdline.txt", "own")
    write(roots.base, "cmdline.txt", "shared")

    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    files = BootFiles(roots, SLOTS)
    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(BootError, match=r"node1/cmdline\.txt cannot be read: Input/output error"):
        find(files, "cmdline.txt")


def test_a_directory_that_may_not_be_entered_is_told(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(jail, "open_directory", refuse)
    with pytest.raises(BootError, match=r"node1/cmdline\.txt cannot be read: Permission denied"):
        find(BootFiles(roots, SLOTS), "cmdline.txt")


def test_a_file_that_no_memory_can_hold_is_told(roots: Roots) -> None:
    with (roots.base / "initrd.img").open("w") as file:
        file.truncate(1 << 40)
    with pytest.raises(BootError, match=r"base/initrd\.img cannot be read: larger than \d+ MiB"):
        find(BootFiles(roots, SLOTS), "initrd.img")


def test_a_large_file_is_warned_of_once_for_each_version(
    roots: Roots, caplog: pytest.LogCaptureFixture
) -> None:
    def ask() -> list[str]:
        caplog.clear()
        for slot in SLOTS:
            find(files, "initrd.img", slot)
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    files = BootFiles(roots, SLOTS)
    write(roots.base, "initrd.img", bytes(12 << 20))
    assert ask() == []
    write(roots.base, "initrd.img", bytes((13 << 20) + 1))
    assert ask() == ["boot file base/initrd.img has 13 MiB; old boot loaders fail above 12 MiB"]
    assert ask() == []
    os.utime(roots.base / "initrd.img", ns=(1, 1))
    assert len(ask()) == 1


# -- bootcode --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "name"), [("2710", "bootcode.bin"), ("2711", "bootcode4.bin"), ("2712", "bootcode5.bin")]
)
def test_every_chip_has_its_bootcode(roots: Roots, chip: str, name: str) -> None:
    write(roots.base, name, name)
    found, signature = asyncio.run(BootFiles(roots, SLOTS).bootcode(SLOTS[0], chip))
    assert (text(found), signature) == (name, None)


@pytest.mark.parametrize("name", ["bootcode.sig", "bootcode.bin.sig"])
def test_a_signature_is_taken_from_beside_the_bootcode(tmp_path: Path, roots: Roots, name: str) -> None:
    write(tmp_path, "firmware/bootcode.bin", "code")
    write(tmp_path, f"base/{name}", b"b" * 20)
    write(tmp_path, f"base/node1/{name}", b"n" * 20)
    files = BootFiles(roots, SLOTS)
    assert asyncio.run(files.bootcode(SLOTS[0], "2710"))[1] is None
    write(tmp_path, f"firmware/{name}", bytes(range(30)))
    found, signature = asyncio.run(files.bootcode(SLOTS[0], "2710"))
    assert (found.layer, signature) == ("firmware", bytes(range(20)))


def test_a_slot_that_is_called_like_a_layer_gets_no_foreign_signature(roots: Roots) -> None:
    slot = make_slot(1, name="base")
    write(roots.base, "bootcode.bin", "code")
    write(roots.base, "base/bootcode.sig", b"n" * 20)
    assert asyncio.run(BootFiles(roots, [slot]).bootcode(slot, "2710"))[1] is None


def test_later_chips_sign_in_another_way(roots: Roots) -> None:
    write(roots.base, "bootcode4.bin", "code")
    write(roots.base, "bootcode.sig", b"s" * 20)
    assert asyncio.run(BootFiles(roots, SLOTS).bootcode(SLOTS[0], "2711"))[1] is None


def test_a_short_signature_is_told(roots: Roots) -> None:
    write(roots.base, "bootcode.bin", "code")
    write(roots.base, "bootcode.sig", b"s" * 19)
    with pytest.raises(BootError, match=r"base/bootcode\.sig has 19 bytes"):
        asyncio.run(BootFiles(roots, SLOTS).bootcode(SLOTS[0], "2710"))


def test_a_missing_bootcode_is_told_with_where_it_was_looked_for(roots: Roots) -> None:
    files = BootFiles(roots, SLOTS)
    with pytest.raises(BootError, match=rf"bootcode4\.bin .*node1, 1-1\.1, .*base.*{roots.base}") as caught:
        asyncio.run(files.bootcode(SLOTS[0], "2711"))
    assert caught.value.problem.code is Code.MISSING_FILE
    write(roots.base, "node1/bootcode4.bin", "")
    with pytest.raises(BootError, match="an empty file in node1 hides it"):
        asyncio.run(files.bootcode(SLOTS[0], "2711"))
