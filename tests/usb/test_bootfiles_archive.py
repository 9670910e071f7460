"""bootfiles.bin: a tar archive read where it lies, however broken it is."""

from __future__ import annotations

import asyncio
import io
import os
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible.errors import BootError
from terrible.model import Location, Slot
from terrible.usb.bootfiles import BootFiles, Found, Missing, Roots

SLOT = Slot("node1", 1, Location("1-1.1"), "", "")


def pack(members: dict[str, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mtime = 1.5 if kind == tarfile.PAX_FORMAT else 1  # a fraction needs a pax header
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


MEMBERS = {
    "2711/bootcode4.bin": b"bootcode four",
    "2711/Config.TXT": b"config",
    "./2711/dotted": b"dotted",
    "2711/empty": b"",
    "2711/block": bytes(1024),
    "2711/cmdline.txt.template": b"${name}",
    "2712/only5": b"five",
    "2711/twice": b"first",
    "2711/last": b"last",
}


def ask(files: BootFiles, name: str, chip: str = "2711") -> Found | Missing:
    return asyncio.run(files.find(SLOT, chip, name))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "bootfiles.bin"
    path.write_bytes(pack(MEMBERS))
    return path


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_found_by_chip_and_without_case(archive: Path, kind: int) -> None:
    archive.write_bytes(pack(MEMBERS, kind))
    files = BootFiles(Roots(archive.parent), [SLOT])
    expected = {
        "bootcode4.bin": b"bootcode four",
        "BOOTCODE4.bin": b"bootcode four",
        "config.txt": b"config",
        "dotted": b"dotted",
        "block": bytes(1024),
        "cmdline.txt": b"node1",
        "last": b"last",
    }
    for name, content in expected.items():
        found = ask(files, name)
        assert isinstance(found, Found)
        assert (found.content, found.layer) == (content, "bootfiles.bin")
    for name in ("only5", "nothing", "2711/last", "2712/only5"):
        assert isinstance(ask(files, name), Missing), name
    assert ask(files, "empty") == Missing(
        "empty", ("node1", "1-1.1", "2711", "base", "bootfiles.bin"), "bootfiles.bin"
    )
    assert ask(files, "only5", "2712").content == b"five"


def test_a_long_name_in_ustar_is_put_together(archive: Path) -> None:
    name = f"{'d' * 90}/{'f' * 90}"
    archive.write_bytes(pack({f"2711/{name}": b"long"}))
    assert ask(BootFiles(Roots(archive.parent), [SLOT]), name).content == b"long"


def test_the_first_of_two_members_wins(archive: Path) -> None:
    end = bytes(2 * 512)
    archive.write_bytes(
        pack({"2711/x": b"first"}).rstrip(b"\0").ljust(1024, b"\0") + pack({"2711/x": b"next"}) + end
    )
    assert ask(BootFiles(Roots(archive.parent), [SLOT]), "x").content == b"first"


def test_directories_and_links_in_the_archive_are_no_files(archive: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name, kind in {
            "2711/dir": tarfile.DIRTYPE,
            "2711/link": tarfile.SYMTYPE,
            "2711/fifo": tarfile.FIFOTYPE,
        }.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
    archive.write_bytes(packed.getvalue())
    for name in ("dir", "dir/", "link", "fifo"):
        answer = ask(BootFiles(Roots(archive.parent), [SLOT]), name)
        assert isinstance(answer, Missing)
        assert answer.hidden_by is None


def test_another_version_of_the_archive_is_noticed(archive: Path) -> None:
    files = BootFiles(Roots(archive.parent), [SLOT])
    assert ask(files, "last").content == b"last"
    archive.with_suffix(".new").write_bytes(pack({"2711/before": bytes(5000), "2711/last": b"new"}))
    archive.with_suffix(".new").replace(archive)
    assert ask(files, "last").content == b"new"
    archive.write_bytes(pack({"2711/last": b"in place"}))
    assert ask(files, "last").content == b"in place"
    archive.unlink()
    assert isinstance(ask(files, "last"), Missing)


def test_the_headers_of_one_version_are_read_once(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = BootFiles(Roots(archive.parent), [SLOT])
    ask(files, "last")
    reads = []
    original = os.pread

    def counted(fd: int, count: int, offset: int) -> bytes:
        reads.append(count)
        return original(fd, count, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert isinstance(ask(files, "nothing"), Missing)
    assert ask(files, "last").content == b"last"
    assert reads == []


def test_the_archive_may_be_a_link_as_in_usbboots_own_directories(archive: Path) -> None:
    gadget = archive.parent / "mass-storage-gadget64"
    gadget.mkdir()
    (gadget / "bootfiles.bin").symlink_to("../bootfiles.bin")
    files = BootFiles(Roots(gadget), [SLOT])
    assert ask(files, "last").content == b"last"
    assert isinstance(ask(files, "bootfiles.bin"), Missing)


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_file_is_no_archive(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bootfiles.bin"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    assert isinstance(ask(BootFiles(Roots(tmp_path), [SLOT]), "last"), Missing)


WHOLE = pack(MEMBERS)


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"no tar at all " * 100,
        WHOLE[:700],
        WHOLE[:1030],
        WHOLE[:148] + b"7777777\0" + WHOLE[156:],
        pack({"2711/big": bytes(5000)})[:3000],
    ],
    ids=["one byte", "text", "cut in a member", "cut in a header", "bad checksum", "cut in the last"],
)
def test_a_broken_archive_is_one_clear_problem(archive: Path, content: bytes) -> None:
    archive.write_bytes(content)
    files = BootFiles(Roots(archive.parent), [SLOT])
    for _ in range(2):
        with pytest.raises(BootError, match=rf"{archive} is no usable tar archive: \w+"):
            ask(files, "last")
    (archive.parent / "config.txt").write_text("from base")
    assert ask(files, "config.txt").content == b"from base"


def test_negative_and_enormous_sizes_are_broken_too(archive: Path) -> None:
    for size in (
        b"-0000001000\0",
        b"77777777777\0",
        b"\x80" + bytes(10) + b"\x05",
        b"\xff" * 12,
        b"0o000000017\0",
    ):
        header = bytearray(WHOLE[:512])
        header[124:136] = size
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        archive.write_bytes(bytes(header) + WHOLE[512:])
        with pytest.raises(BootError, match="is no usable tar archive"):
            ask(BootFiles(Roots(archive.parent), [SLOT]), "last")


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_no_damage_does_more_than_that(tmp_path_factory: pytest.TempPathFactory, dice: random.Random) -> None:
    folder = tmp_path_factory.getbasetemp()
    damaged = bytearray(WHOLE[: dice.choice([len(WHOLE), dice.randrange(len(WHOLE))])])
    for _ in range(dice.randrange(8)):
        if damaged:
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
    (folder / "bootfiles.bin").write_bytes(damaged)
    files = BootFiles(Roots(folder), [SLOT])
    for name in ("last", "nothing", "bootcode4.bin"):
        try:
            assert isinstance(ask(files, name), Found | Missing)
        except BootError as error:
            assert "tar archive" in str(error)
