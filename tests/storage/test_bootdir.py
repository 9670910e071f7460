"""`terrible image boot`: the boot partition of an image as boot files, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from terrible.errors import HostError
from terrible.model import Location, Slot
from terrible.storage.images.bootdir import make
from terrible.tree import RECORD
from terrible.usb.bootfiles import BootFiles, Found, Missing, Roots
from tests.storage.images import BOOKWORM, CONFIG, Stock, pack

MADE_ANEW = {"cmdline.txt", "config.txt"}
SECRET = {
    "user-data": b"passwd: $y$secret",
    "meta-data": b"dsmode: local",
    "network-config": b"password: wireless",
    "firstrun.sh": b"#!/bin/sh\nchpasswd",
    "userconf.txt": b"pi:$6$secret",
    "rpi-preseed.toml": b"password = 1",
    "wpa_supplicant.conf": b"psk=secret",
    "custom.toml": b"[user]",
    "ssh": b"",
}


def files_in(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("how", ["", "xz", "gz", "zst"])
def test_every_file_is_there_and_the_image_is_recorded(bookworm: Path, tmp_path: Path, how: str) -> None:
    copy = tmp_path / "os.img"
    copy.write_bytes(bookworm.read_bytes())
    image = pack(copy, how) if how else copy
    record = make(image, tmp_path / "boot")
    given = files_in(bookworm.with_name(bookworm.name + ".files"))
    made = files_in(tmp_path / "boot")
    assert {name: made.pop(name) for name in given.keys() - MADE_ANEW} == {
        name: content for name, content in given.items() if name not in MADE_ANEW
    }
    assert made.pop("cmdline.txt.image").decode() == BOOKWORM
    assert made.keys() == {"cmdline.txt.template", "config.txt", RECORD}
    assert json.loads(made[RECORD]) == record
    assert record["sha256"] == hashlib.sha256(bookworm.read_bytes()).hexdigest()
    assert (record["image"], record["size"]) == (image.name, bookworm.stat().st_size)
    assert record["first_boot"] == ["init=/usr/lib/raspberrypi-sys-mods/firstboot"]
    assert record["versions"]["kernel8.img"] == "6.12.25+rpt-rpi-v8"
    assert made["config.txt"].decode().startswith(CONFIG.rstrip())
    assert b"\n[all]\n# a network over USB (terrible)\ndtoverlay=dwc2\n" in made["config.txt"]


def test_a_stock_image_whose_first_boot_renames_its_disk_is_not_looked_for_by_that_name(
    bookworm: Path, tmp_path: Path
) -> None:
    assert make(bookworm, tmp_path / "boot")["root"] == "/dev/mmcblk0p2"
    assert " root=/dev/mmcblk0p2 " in (tmp_path / "boot" / "cmdline.txt.template").read_text()


def test_a_node_gets_its_files_and_command_line_from_it_and_not_the_record(
    bookworm: Path, tmp_path: Path
) -> None:
    make(bookworm, tmp_path / "boot")
    slot = Slot("node2", 2, Location("1-1.2"), mac="02:54:43:00:00:02", host_mac="02:54:43:01:00:02")
    (tmp_path / "boot" / "node2").symlink_to(".")  # a slot with a boot tree of its own sees no more of it
    serving = BootFiles(Roots(tmp_path / "boot"), [slot], "lab")

    def ask(name: str) -> Found | Missing:
        return asyncio.run(serving.find(slot, "2710", name))

    cmdline = ask("cmdline.txt")
    assert isinstance(cmdline, Found)
    assert b"systemd.hostname=node2\n" in cmdline.content
    assert isinstance(ask("overlays/README"), Found)
    for name in (RECORD, f"./{RECORD}", RECORD.upper(), f"node2/{RECORD}"):
        assert isinstance(ask(name), Missing)


def test_what_may_be_secret_is_in_no_directory_that_nodes_read(tmp_path: Path) -> None:
    image = Stock(extra=SECRET).build(tmp_path / "os.img")
    make(image, tmp_path / "boot")
    assert not SECRET.keys() & files_in(tmp_path / "boot").keys()
    assert not any(b"secret" in content for content in files_in(tmp_path / "boot").values())


def test_no_image_brings_a_record_of_another_image(tmp_path: Path) -> None:
    """In a directory of a base directory it would be the boot tree of all slots that have that image."""
    forged = json.dumps({"image": "theirs.img", "sha256": "ab" * 32}).encode()
    extra = {f"a/{RECORD}": forged, "a/kernel.img": b"mine", ".hidden/file": b"x", "a/.b/c": b"x"}
    make(Stock(extra=extra).build(tmp_path / "stock.img"), tmp_path / "boot")
    assert BootFiles(Roots(tmp_path / "boot"), []).tree("ab" * 32) == ""
    assert [path.name for path in (tmp_path / "boot").rglob(".*")] == [RECORD]
    assert (tmp_path / "boot" / "a" / "kernel.img").read_bytes() == b"mine"


def test_a_tree_for_all_to_read(bookworm: Path, tmp_path: Path) -> None:
    make(bookworm, tmp_path / "boot")
    assert (tmp_path / "boot").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("there", ["nothing", "an empty directory", "a link to an empty directory"])
def test_it_takes_the_place_of_nothing_that_matters(bookworm: Path, tmp_path: Path, there: str) -> None:
    directory = tmp_path / "boot"
    if there != "nothing":
        (tmp_path / "empty").mkdir()
        directory = tmp_path / "empty"
    if there.startswith("a link"):
        directory = tmp_path / "link"
        directory.symlink_to("empty")
    make(bookworm, directory)
    assert (directory / "kernel.img").exists()


def test_what_is_there_already_stays_as_it_is(bookworm: Path, tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("boot", "file"):
        with pytest.raises(HostError, match="already there"):
            make(bookworm, tmp_path / name)
    assert files_in(tmp_path) == {"boot/mine": b"mine", "file": b"mine"}


@pytest.mark.parametrize("at", [30, 9 << 20, (9 << 20) + 5000])
def test_a_bad_image_leaves_nothing_behind(bookworm: Path, tmp_path: Path, at: int) -> None:
    bad = tmp_path / "bad.img"
    bad.write_bytes(bookworm.read_bytes()[:at])
    with pytest.raises(HostError, match=r"bad\.img"):
        make(bad, tmp_path / "boot")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.img"]


def test_an_image_without_linux_gives_no_node_a_root(tmp_path: Path, bookworm: Path) -> None:
    image = tmp_path / "os.img"
    content = bytearray(bookworm.read_bytes())
    content[446 + 16 : 446 + 32] = bytes(16)
    image.write_bytes(content)
    with pytest.raises(HostError, match="no Linux partition"):
        make(image, tmp_path / "boot")


def test_whoever_is_ended_in_the_middle_leaves_nothing_behind(bookworm: Path, tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from terrible.cli import image
from terrible.storage.images import bootdir
extract = bootdir._extract
def stop(volume, file, target):
    if file.path == "start.elf":
        os.kill(os.getpid(), signal.SIGTERM)
    extract(volume, file, target)
bootdir._extract = stop
sys.exit(image.boot(Path({str(bookworm)!r}), Path({str(tmp_path / "boot")!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_and_leaves_nothing_behind(bookworm: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(HostError, match="File too large"):
            make(bookworm, tmp_path / "boot")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
