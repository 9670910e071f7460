"""What changes between the check and the open: the descriptor is asked again, and what it is of decides.

/proc/swaps is the last thing that is read before the open. Here it is a FIFO, so that the world can be
changed exactly then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from terrible.model import Location
from terrible.peers import Refused
from terrible.storage import opening
from terrible.storage.opening import open_card
from terrible.storage.reading import Machine

from .conftest import Loop, needs_loop
from .head import SLOT, Head

pytestmark = needs_loop
HERE = Location(SLOT)
Change = Callable[[Head, Loop, Loop], None]


@contextmanager
def after_the_check(head: Head, change: Callable[[], None]) -> Iterator[None]:
    """Have the world changed once the check has read all but the swaps."""
    swaps = head.root / "proc/swaps"
    text = swaps.read_text()
    swaps.unlink()
    os.mkfifo(swaps)

    def wait_and_change() -> None:
        with swaps.open("w") as fifo:  # opens when the helper reads it
            change()
            later = swaps.with_name("later")
            later.write_text(text)
            later.replace(swaps)
            fifo.write(text)

    changing = threading.Thread(target=wait_and_change)
    changing.start()
    yield
    changing.join(10)
    assert not changing.is_alive()


def the_name_passes_to_a_disk_in_a_foreign_port(head: Head, _: Loop, other: Loop) -> None:
    head.pull()
    head.usb("1-1.3")
    head.usb_disk("1-1.3", "sda", other.number)
    head.node("sda", other.number)


def the_name_passes_to_the_head_s_root(head: Head, _: Loop, other: Loop) -> None:
    head.pull()
    head.usb("1-2", ids=("174c", "55aa"))
    head.usb_disk("1-2", "sda", other.number)
    head.mount(other.number, "/", "/dev/sda")
    head.node("sda", other.number)


def a_stick_takes_its_place_in_the_slot(head: Head, _: Loop, other: Loop) -> None:
    head.pull()
    head.usb(SLOT, ids=("0781", "5581"))
    head.usb_disk(SLOT, "sda", other.number)
    head.node("sda", other.number)


def a_hub_takes_its_place_in_the_slot(head: Head, _: Loop, other: Loop) -> None:
    head.pull()
    head.usb(SLOT, ids=("0409", "55aa"), interface="09")
    head.usb("1-1.2.1")
    head.usb_disk("1-1.2.1", "sda", other.number)
    head.node("sda", other.number)


def a_desktop_mounts_it(head: Head, _loop: Loop, _other: Loop) -> None:
    head.partition("sda", 1, "8:1")
    head.mount("8:1", "/media/pi/bootfs", "/dev/sda1")


def lvm_takes_it(head: Head, _loop: Loop, _other: Loop) -> None:
    head.stacked("dm-0", "253:0", on=["sda"])


def it_leaves(head: Head, _loop: Loop, _other: Loop) -> None:
    head.pull()


def its_card_is_changed(_head: Head, loop: Loop, _other: Loop) -> None:
    loop.resize(2**30)


CHANGES: list[tuple[Change, str]] = [
    (the_name_passes_to_a_disk_in_a_foreign_port, "lock 1: sda is not the disk of the device at 1-1.2"),
    (the_name_passes_to_the_head_s_root, "lock 1: sda"),
    (a_stick_takes_its_place_in_the_slot, "lock 2: sda is 0781:5581"),
    (a_hub_takes_its_place_in_the_slot, "lock 1: sda"),
    (a_desktop_mounts_it, "lock 4: sda is in use: /media/pi/bootfs is on sda1"),
    (lvm_takes_it, "lock 4: sda is in use: sda by dm-0"),
    (it_leaves, "lock 5: what was opened has just gone"),
    (its_card_is_changed, "lock 5: sda has 1073741824 bytes"),
]
every_change = pytest.mark.parametrize(("change", "why"), CHANGES, ids=[one[0].__name__ for one in CHANGES])


@every_change
def test_what_changed_before_the_open_is_seen_after_it(
    real_head: Head, loop: Loop, other_loop: Loop, change: Change, why: str
) -> None:
    real_head.pi()
    before = len(os.listdir("/proc/self/fd"))
    with after_the_check(real_head, lambda: change(real_head, loop, other_loop)):
        with pytest.raises(Refused) as refusal:
            open_card(Machine(real_head.root), HERE)
    assert why in str(refusal.value)
    assert len(os.listdir("/proc/self/fd")) == before
    for one in (loop, other_loop):
        os.close(os.open(one.node, os.O_RDWR | os.O_EXCL))  # nothing holds it


@every_change
def test_without_asking_again_it_would_be_opened(
    real_head: Head, loop: Loop, other_loop: Loop, change: Change, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lock 5, second half, left out."""
    monkeypatch.setattr(opening, "asked_again", lambda *_: None)
    real_head.pi()
    with after_the_check(real_head, lambda: change(real_head, loop, other_loop)):
        os.close(open_card(Machine(real_head.root), HERE)[0])


def test_another_card_in_the_same_slot_is_that_slot_s_card(
    real_head: Head, loop: Loop, other_loop: Loop
) -> None:
    def another_pi() -> None:
        real_head.pull()
        real_head.card = other_loop.number
        real_head.pi()

    real_head.pi()
    with after_the_check(real_head, another_pi):
        descriptor, disk = open_card(Machine(real_head.root), HERE)
    assert disk.device == other_loop.number
    os.close(descriptor)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("file", "(no block device|cannot be opened)"),  # the latter where its file system has no O_DIRECT
        ("fifo", "cannot be opened"),
        ("character device", "cannot be opened"),
        ("directory", "cannot be opened"),
        ("link", "cannot be opened"),
        ("absent", "cannot be opened"),
    ],
)
def test_only_a_block_device_is_opened(real_head: Head, loop: Loop, what: str, why: str) -> None:
    real_head.pi()
    node = real_head.root / "dev/sda"
    node.unlink()
    match what:
        case "fifo":
            os.mkfifo(node)
        case "file":
            node.touch()
        case "directory":
            node.mkdir()
        case "link":
            node.symlink_to(loop.node)
        case "character device":
            os.mknod(node, 0o020600, os.makedev(1, 3))
    with pytest.raises(Refused, match=f"^lock 5: .*{why}"):
        open_card(Machine(real_head.root), HERE)
