"""What the agent has of it all: cards by slot, the real writer, and each slot's own host key on its card."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from terrible.errors import DiskError, HostError
from terrible.model import CardNews, Location, Slot
from terrible.storage import client
from terrible.storage import disks as disks_module
from terrible.storage.disks import END, KILLED, CardDisks, Named, PipedDisks
from terrible.storage.hostkeys import ensure
from terrible.storage.images import programs
from terrible.storage.messages import Seen
from tests.conftest import fill

from . import cards
from .conftest import needs_loop
from .contents import bmap, content
from .medium import Medium
from .prepared import Made

pytestmark = needs_loop

SLOTS = [
    Slot(f"node{n}", n, Location(f"1-1.{n}"), f"02:00:00:00:00:0{n}", f"02:00:00:00:01:0{n}") for n in (1, 2)
]


class Opener(client.DiskHelper):
    """In place of terrible-disk, whose five locks no loop device passes: hands over what is open already.

    `late` is how often a card is not there yet, `places` are slots that it has elsewhere.
    """

    def __init__(self, opened: Sequence[cards.Card], late: int = 0) -> None:
        self.opened = {card.slot: card for card in opened}
        self.late = late
        self.places: dict[str, str] = {}

    async def check(self) -> None:
        """It is there."""

    async def open(self, slot: str) -> client.Card:
        if self.late:
            self.late -= 1
            raise DiskError("lock 1: no disk there")
        card = self.opened[slot]
        location = self.places.get(slot, f"1-1.{slot[-1]}")
        seen = Seen(slot, location, "sda", card.size, 512, "Linux", "File-Stor Gadget")
        return client.Card(os.dup(card.fd), seen)


async def written(disks: CardDisks, image: str, slots: Sequence[Slot]) -> dict[str, CardNews]:
    """The last news of each card."""
    last = {}
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(disks.open(slot)) for slot in slots]
        async for news in disks.write(image, opened):
            last[news.slot] = news
    return last


def test_each_card_holds_the_image_and_its_slots_own_host_key(made: Made, tmp_path: Path) -> None:
    keys = tmp_path / "state" / "host-keys"
    keys.parent.mkdir()
    image = made.path.read_bytes()
    with cards.blank("node1", 1 << 30) as one, cards.blank("node2", 1 << 30) as two:
        disks = CardDisks(Opener([one, two], late=1), made.path.parent, keys)
        last = asyncio.run(written(disks, made.path.name, SLOTS))
        assert {slot: news.outcome for slot, news in last.items()} == {"node1": "whole", "node2": "whole"}
        for card in (one, two):
            mine = tmp_path / f"card-{card.slot}"
            mine.write_bytes(card.read(0, len(image)))
            there = Made(mine).root("/etc/ssh/ssh_host_ed25519_key")
            assert there.rstrip(b"\n") == ensure(keys, card.slot).private.rstrip(b"\n")
            private = tmp_path / f"key-{card.slot}"
            private.write_bytes(there)
            private.chmod(0o600)
            told = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, check=True).stdout
            assert told.split()[:2] == ensure(keys, card.slot).public.split()[:2]
            there_now = mine.read_bytes()
            blocks = range(0, len(image), 4096)
            differ = [n for n in blocks if there_now[n : n + 4096] != image[n : n + 4096]]
            assert len(differ) == 1, "nothing else of the image is another"
    assert ensure(keys, "node1") != ensure(keys, "node2")


def test_a_stock_image_is_told_by_its_first_boot_and_that_a_zero_starts_from_it(
    bookworm: Path, made: Made, tmp_path: Path
) -> None:
    with cards.blank("node1", 1 << 30) as card:
        told = [
            asyncio.run(
                written(CardDisks(Opener([card]), path.parent, tmp_path / "keys"), path.name, SLOTS[:1])
            )
            for path in (bookworm, made.path)
        ]
    stock, prepared = (last["node1"] for last in told)
    assert (stock.outcome, stock.card_first, "firstboot" in stock.first_boot) == ("whole", True, True)
    assert (prepared.outcome, prepared.card_first, prepared.first_boot) == ("whole", False, "")


def test_what_is_packed_with_xz_9_gets_its_host_key_like_any_other(of_bookworm: Made, tmp_path: Path) -> None:
    """It takes more memory to look into than `image boot` may have, and to write it takes as much again."""
    packed = tmp_path / "node.img.xz"
    with packed.open("wb") as file:
        subprocess.run(["xz", "-9", "-T1", "-c", of_bookworm.path], stdout=file, check=True)
    with cards.blank("node1", 1 << 30) as card:
        disks = CardDisks(Opener([card]), tmp_path, tmp_path / "host-keys")
        last = asyncio.run(written(disks, packed.name, SLOTS[:1]))
        assert (last["node1"].outcome, last["node1"].error) == ("whole", "")
        there = card.read(0, of_bookworm.path.stat().st_size)
    assert ensure(tmp_path / "host-keys", "node1").private in there


def test_an_image_without_a_place_for_keys_is_written_as_it_is(tmp_path: Path) -> None:
    image = tmp_path / "plain.img"
    image.write_bytes(hashlib.sha256(b"x").digest() * 65536)
    with cards.blank("node1", 1 << 30) as card:
        disks = CardDisks(Opener([card]), tmp_path, tmp_path / "host-keys")
        last = asyncio.run(written(disks, "plain.img", SLOTS[:1]))
        assert (last["node1"].outcome, last["node1"].touched) == ("whole", True)
        assert card.read(0, image.stat().st_size) == image.read_bytes()
    assert not (tmp_path / "host-keys").exists()


def test_a_card_that_is_too_small_is_told_so_and_not_touched(tmp_path: Path) -> None:
    image = tmp_path / "large.img"
    image.write_bytes(b"x" * (2 << 20))
    with cards.blank("node1", 1 << 20, b"before" * 1000) as card:
        disks = CardDisks(Opener([card]), tmp_path, tmp_path / "host-keys")
        last = asyncio.run(written(disks, "large.img", SLOTS[:1]))
        assert (last["node1"].outcome, last["node1"].touched) == ("failed", False)
        assert "too small" in last["node1"].error
        assert card.read(0, 6000) == b"before" * 1000


WRITES_UNTIL_A_LINE_COMES = """
import asyncio, os, sys
from pathlib import Path
from terrible.storage.disks import CardDisks, OpenCard

async def write(directory, fd):
    disks = CardDisks(None, directory, directory / "host-keys")
    async for _ in disks.write("plain.img", [OpenCard("node1", fd, 2 << 20)]):
        pass

async def main():
    writing = asyncio.create_task(write(Path(sys.argv[1]), int(sys.argv[2])))
    await asyncio.to_thread(sys.stdin.readline)
    writing.cancel()
    await asyncio.wait({writing})
    os._exit(0)

asyncio.run(main())
"""


def test_a_card_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Its writer is in the kernel, where no signal reaches it, and outlives the agent."""
    (tmp_path / "plain.img").write_bytes(bytes(1 << 20))
    answers, asked = threading.Event(), threading.Event()

    def never() -> None:
        asked.set()
        answers.wait(60)

    medium = Medium(2 << 20)
    said = tmp_path / "said"
    with cards.faulty("node1", medium) as card, said.open("w") as errors:
        medium.log.clear()
        medium.moment, medium.then = 1, never
        command = [sys.executable, "-c", WRITES_UNTIL_A_LINE_COMES, str(tmp_path), str(card.fd)]
        agent = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors, pass_fds=[card.fd])
        try:
            assert asked.wait(30)
            agent.communicate(b"\n", timeout=END + KILLED + 5)
        finally:
            answers.set()
            agent.kill()
            agent.wait()
    assert "waits for a card that does not answer" in said.read_text()


def test_a_helper_that_has_the_slot_elsewhere_hands_over_another_slots_card(tmp_path: Path) -> None:
    """It reads its configuration for each request; that may have been edited since the agent has read it."""
    (tmp_path / "plain.img").write_bytes(bytes(4096))
    with cards.blank("node1", 1 << 20, b"before" * 1000) as card:
        opener = Opener([card])
        opener.places["node1"] = "1-1.2"
        disks = CardDisks(opener, tmp_path, tmp_path / "host-keys")
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(DiskError, match=r"terrible-disk has node1 at 1-1\.2, this agent at 1-1\.1; "):
            asyncio.run(written(disks, "plain.img", SLOTS[:1]))
        assert len(os.listdir("/proc/self/fd")) == before
        assert card.read(0, 6000) == b"before" * 1000


def test_a_file_that_takes_the_name_of_the_one_looked_at_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place for keys and its first-boot words would be those of another image."""
    image = tmp_path / "plain.img"
    image.write_bytes(b"a" * 4096)

    def looked_at(path: Path, _spill: Path) -> None:
        (tmp_path / "new").write_bytes(b"b" * 4096)
        (tmp_path / "new").rename(path)

    monkeypatch.setattr(disks_module, "known", looked_at)
    with cards.blank("node1", 1 << 20, b"before" * 1000) as card:
        disks = CardDisks(Opener([card]), tmp_path, tmp_path / "host-keys")
        last = asyncio.run(written(disks, "plain.img", SLOTS[:1]))
        assert (last["node1"].outcome, last["node1"].touched) == ("failed", False)
        assert "another than the one that was looked at" in last["node1"].error
        assert card.read(0, 6000) == b"before" * 1000


@pytest.mark.parametrize("image", ["", "nowhere.img", "../x.img", "/dev/null", "directory"])
def test_only_files_of_the_directory_are_images(tmp_path: Path, image: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "directory").mkdir()
    (tmp_path / "x.img").touch()
    with pytest.raises(HostError):
        asyncio.run(CardDisks(Opener([]), tmp_path / "images", tmp_path).check(image))


def test_who_names_no_image_is_told_which_there_are(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("b.img", "a.img.xz", "a.img.xz.sha256", "b.bmap"):
        (tmp_path / "images" / name).touch()
    for directory, why in (("images", "there is a.img.xz, b.img"), ("none", "none is no directory that ")):
        with pytest.raises(HostError, match=rf"c\.img: No such file or directory; .*{why}"):
            asyncio.run(CardDisks(Opener([]), tmp_path / directory, tmp_path).check("c.img"))


def mapped_at_its_ends(path: Path) -> tuple[bytes, str]:
    """An image of three megabytes in `path`, and the path of a bmap elsewhere that leaves out the second."""
    whole = content(3 << 20)
    path.write_bytes(whole)
    elsewhere = path.parent / "maps" / "any.bmap"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(bmap(whole, [(0, 255), (512, 767)]))
    return whole, str(elsewhere)


@pytest.mark.parametrize("piped", [False, True])
def test_a_bmap_that_is_named_says_what_is_written(tmp_path: Path, piped: bool) -> None:
    whole, map_ = mapped_at_its_ends(tmp_path / "card.img")
    named = Named(map_, hashlib.sha256(whole).hexdigest())
    with (
        (tmp_path / "card.img").open("rb") as file,
        cards.blank("node1", 1 << 30, b"old!" * (1 << 20)) as card,
    ):
        keys = tmp_path / "host-keys"
        disks = (
            PipedDisks(Opener([card]), file.fileno(), keys, named)
            if piped
            else CardDisks(Opener([card]), tmp_path, keys, named)
        )
        asyncio.run(disks.look("card.img"))
        last = asyncio.run(written(disks, "card.img", SLOTS[:1]))
        assert last["node1"].outcome == "whole", last
        there = card.read(0, 3 << 20)
    assert there[: 1 << 20] + there[2 << 20 :] == whole[: 1 << 20] + whole[2 << 20 :]
    assert there[1 << 20 : 2 << 20] == b"old!" * (1 << 18)


def test_a_sha256_that_is_named_is_of_the_image_or_no_card_is_whole(tmp_path: Path) -> None:
    mapped_at_its_ends(tmp_path / "card.img")
    with cards.blank("node1", 1 << 30) as card:
        disks = CardDisks(Opener([card]), tmp_path, tmp_path / "host-keys", Named(sha256="5f" * 32))
        last = asyncio.run(written(disks, "card.img", SLOTS[:1]))
        assert (last["node1"].outcome, card.read(0, 512)) == ("failed", bytes(512))
    assert last["node1"].error == f"the image is not the one that was meant: its sha256 is not {'5f' * 32}"


def test_what_is_damaged_is_seen_before_a_card_is_asked_for(tmp_path: Path) -> None:
    """And leaves no descriptor behind: the agent that looks lives for months."""
    _, map_ = mapped_at_its_ends(tmp_path / "card.img")
    (tmp_path / "short.img").write_bytes(bytes(1000))
    (tmp_path / "plain.img.xz").write_bytes(bytes(1024))
    (tmp_path / "small.img").write_bytes(bytes(1024))
    (tmp_path / "told.img").write_bytes(bytes(1024))
    (tmp_path / "told.img.sha256").write_text("nothing of use\n")
    (tmp_path / "zip.img").write_bytes(b"PK\3\4" + bytes(1020))
    line = "a line of it is 64 hexadecimal digits, two spaces and the name"
    before = os.listdir("/proc/self/fd")
    for image, named, why in (
        ("short.img", Named(), "short.img is cut off: 1000 bytes are no whole sectors"),
        ("plain.img.xz", Named(), "plain.img.xz is not packed as its name says"),
        ("small.img", Named(map_), "small.img is of 1024 bytes, its bmap of an image of 3145728"),
        ("told.img", Named(), f"told.img.sha256 tells no sha256 of told.img; {line}"),
        ("zip.img", Named(), "zip.img: it is a zip archive and no image; unpack it first"),
        ("card.img", Named("/nowhere"), "/nowhere: No such file or directory"),
        ("gone.img", Named(), f"{tmp_path}/gone.img: No such file or directory"),
    ):
        disks = CardDisks(Opener([]), tmp_path, tmp_path / "host-keys", named)
        with pytest.raises(HostError) as error:
            asyncio.run(disks.look(image))
        assert str(error.value) == why
    with pytest.raises(HostError, match="/nowhere: No such file or directory"):
        asyncio.run(PipedDisks(Opener([]), 0, tmp_path, Named("/nowhere")).look("-"))
    assert os.listdir("/proc/self/fd") == before


def test_a_terrible_disk_that_does_not_run_is_missed_before_a_card_is_asked_for(tmp_path: Path) -> None:
    mapped_at_its_ends(tmp_path / "card.img")
    disks = CardDisks(client.DiskHelper(tmp_path / "disk.sock"), tmp_path, tmp_path / "host-keys")
    with pytest.raises(HostError, match=r"no answer from terrible-disk at .*: .*; sudo systemctl enable"):
        asyncio.run(disks.look("card.img"))
    with socket.socket(socket.AF_UNIX) as helper:
        helper.bind(str(tmp_path / "disk.sock"))
        helper.listen()
        asyncio.run(disks.look("card.img"))


@pytest.mark.parametrize(("kind", "magic"), [("xz", b"\xfd7zXZ\0"), ("zst", b"\x28\xb5\x2f\xfd")])
def test_a_program_that_is_not_installed_is_missed_before_a_card_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, magic: bytes
) -> None:
    (tmp_path / f"card.img.{kind}").write_bytes(magic)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_PATH", str(tmp_path))
    disks = CardDisks(Opener([]), tmp_path, tmp_path / "host-keys")
    with pytest.raises(
        HostError, match=rf"card\.img\.{kind}: not installed: {kind}\w*; sudo apt install {kind}"
    ):
        asyncio.run(disks.look(f"card.img.{kind}"))


@pytest.mark.parametrize("packed", [False, True])
def test_a_head_without_room_for_keys_or_for_what_it_unpacks_touches_no_card(
    of_bookworm: Made, small_disk: Path, tmp_path: Path, *, packed: bool
) -> None:
    """Else the card would be whole, and lack its host key and the words of its first boot."""
    fill(small_disk)
    image = tmp_path / ("node.img.gz" if packed else "node.img")
    content = of_bookworm.path.read_bytes()
    image.write_bytes(gzip.compress(content, 1) if packed else content)
    with cards.blank("node1", 1 << 30, b"before" * 1000) as card:
        disks = CardDisks(Opener([card]), tmp_path, small_disk / "host-keys")
        with pytest.raises(HostError, match="No space left"):
            asyncio.run(written(disks, image.name, SLOTS[:1]))
        assert card.read(0, 6000) == b"before" * 1000


def test_a_boot_partition_that_nobody_looks_into_here_is_no_reason_to_leave_out_its_host_key(
    of_bookworm: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terrible.storage.images.image._MOST_KEPT", 1 << 16)
    (tmp_path / "node.img.gz").write_bytes(gzip.compress(of_bookworm.path.read_bytes(), 1))
    with cards.blank("node1", 1 << 30, b"before" * 1000) as card:
        disks = CardDisks(Opener([card]), tmp_path, tmp_path / "host-keys")
        with pytest.raises(
            HostError, match=r"node\.img\.gz: its boot partition holds more than .* unpack it by hand"
        ):
            asyncio.run(written(disks, "node.img.gz", SLOTS[:1]))
        assert card.read(0, 6000) == b"before" * 1000
