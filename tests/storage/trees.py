"""Heads of all kinds as data: what is plugged in where, and why the slot 1-1.2 must not be opened there.

The disk that would be opened if nothing held it back is the real one, `sda`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .head import PI, SIZE, SLOT, Head


@dataclass(frozen=True, slots=True)
class Tree:
    """`why` is to be found in the refusal; empty where the card is to be opened."""

    name: str
    build: Callable[[Head], None]
    why: str


TREES: list[Tree] = []


def tree(why: str) -> Callable[[Callable[[Head], None]], Callable[[Head], None]]:
    def add(build: Callable[[Head], None]) -> Callable[[Head], None]:
        TREES.append(Tree(build.__name__, build, why))
        return build

    return add


# -- what may be opened -----------------------------------------------------------------------------


@tree("")
def a_pi_zero_in_mass_storage_mode(head: Head) -> None:
    head.pi()


@tree("")
def a_pi_4_with_the_gadget_of_linux(head: Head) -> None:
    head.usb(SLOT, ids=("0525", "a4a5"))
    head.usb_disk(SLOT, "sda", head.card)
    head.node("sda", head.card)


@tree("")
def a_card_with_partitions_that_nobody_uses(head: Head) -> None:
    head.pi()
    head.partition("sda", 1, "8:1")
    head.partition("sda", 2, "8:2")


@tree("")
def the_head_on_a_usb_ssd_of_its_own(head: Head) -> None:
    ssd(head)
    head.pi()


@tree("")
def the_head_on_nvme(head: Head) -> None:
    head.whole("nvme0n1", "259:0", "devices/pci0000:00/0000:01:00.0/nvme/nvme0")
    head.partition("nvme0n1", 2, "259:2")
    head.mount("259:2", "/", "/dev/nvme0n1p2")
    head.swap("/dev/nvme0n1p3")
    head.pi()


@tree("")
def other_cards_in_other_slots(head: Head) -> None:
    for port, name in enumerate(("sdb", "sdc", "sdd"), start=3):
        head.usb(f"1-1.{port}")
        head.usb_disk(f"1-1.{port}", name, f"8:{16 * port}")
    head.pi()


@tree("")
def lvm_md_and_loops_on_disks_of_the_head(head: Head) -> None:
    ssd(head)
    head.stacked("md0", "9:0", on=["sdz1"])
    head.stacked("dm-0", "253:0", on=["md0"])
    head.loop("loop5", "7:205", "/var/lib/snapd/snaps/core.snap")
    head.mount("7:205", "/snap/core", "/dev/loop5")
    head.mount("253:0", "/home", "/dev/mapper/vg-home")
    head.pi()


@tree("")
def another_card_in_port_20(head: Head) -> None:
    head.usb("1-1.20")
    head.usb_disk("1-1.20", "sdb", "8:16")
    head.pi()


@tree("")
def the_head_s_root_in_a_file_on_what_only_the_initramfs_has_mounted(head: Head) -> None:
    """By the mounts that are left, the file is on the root that is in the file."""
    (head.root / "proc/self/mountinfo").unlink()
    head.loop("loop0", "7:200", "/host/images/root.img")
    head.mount("7:200", "/", "/dev/loop0")
    head.pi()


@tree("")
def a_pi_that_came_almost_two_minutes_ago(head: Head) -> None:
    head.pi(connected=119_999)


@tree("")
def the_smallest_card(head: Head) -> None:
    head.pi(size=2**30)


@tree("")
def the_largest_card(head: Head) -> None:
    head.pi(size=2**40)


# -- lock 1: where it sits --------------------------------------------------------------------------


@tree("there is no disk at 1-1.2")
def an_empty_slot(head: Head) -> None:
    pass


@tree("there is no disk at 1-1.2")
def the_head_s_ssd_and_an_empty_slot(head: Head) -> None:
    ssd(head)


@tree("there is no disk at 1-1.2")
def the_same_model_in_a_foreign_port(head: Head) -> None:
    head.pi("1-1.3")


@tree("there is no disk at 1-1.2")
def port_20_is_not_port_2(head: Head) -> None:
    head.pi("1-1.20")


@tree("there is no disk at 1-1.2")
def the_same_port_of_another_bus(head: Head) -> None:
    for location in ("usb2", "2-1"):
        head.usb(location, interface="09")
    head.pi("2-1.2")


@tree("there is no disk at 1-1.2")
def a_disk_on_the_hub_of_the_slot(head: Head) -> None:
    head.usb_disk("1-1", "sda", head.card)
    head.node("sda", head.card)


@tree("lock 1: sda is not the disk of the device at 1-1.2")
def a_pi_behind_a_hub_in_the_slot(head: Head) -> None:
    head.usb(SLOT, ids=("0409", "55aa"), interface="09")
    head.pi("1-1.2.1")


@tree("lock 1: sda is not the disk of the device at 1-1.2")
def a_pi_behind_two_hubs_in_the_slot(head: Head) -> None:
    head.usb(SLOT, ids=("0409", "55aa"), interface="09")
    head.usb("1-1.2.4", ids=("0409", "55aa"), interface="09")
    head.pi("1-1.2.4.2")


@tree("lock 1: there are 2 disks at 1-1.2")
def a_pi_that_shows_two_disks(head: Head) -> None:
    head.pi()
    head.usb_disk(SLOT, "sdb", "8:16", lun=1)


@tree("lock 1: there are 4 disks at 1-1.2")
def a_card_reader_with_four_slots(head: Head) -> None:
    head.pi()
    for lun, name in enumerate(("sdb", "sdc", "sdd"), start=1):
        head.usb_disk(SLOT, name, f"8:{16 * lun}", lun=lun, size=0)


# -- lock 2: what it is -----------------------------------------------------------------------------


@tree("lock 2: sda is 0781:5581")
def a_stick_of_somebody_s_in_the_slot(head: Head) -> None:
    foreign(head, ("0781", "5581"))


@tree("lock 2: sda is 174c:55aa")
def the_head_s_own_ssd_moved_into_the_slot(head: Head) -> None:
    foreign(head, ("174c", "55aa"))


@tree("lock 2: sda is 0a5c:2764")
def a_boot_rom_that_shows_a_disk(head: Head) -> None:
    foreign(head, ("0a5c", "2764"))


@tree("lock 2: sda is 0a5c:a4a5")
def half_the_ids_of_one_and_half_of_the_other(head: Head) -> None:
    foreign(head, ("0a5c", "a4a5"))


@tree("lock 2: sda is 0a5c:0001")
def the_ids_of_a_pi_and_another_class(head: Head) -> None:
    foreign(head, PI, interface="ff")


# -- lock 3: since when -----------------------------------------------------------------------------


@tree("lock 3: sda has been connected for 120 s")
def connected_for_too_long(head: Head) -> None:
    head.pi(connected=120_000)


@tree("lock 3: sda has been connected for 86400 s")
def a_pi_that_serves_as_a_disk_since_yesterday(head: Head) -> None:
    head.pi(connected=86_400_000)


@tree("lock 3: the kernel does not tell")
def a_kernel_without_power_management(head: Head) -> None:
    head.pi(connected=None)


# ---------------------------------------------------------------------------------------------------


def ssd(head: Head) -> None:
    """The head's root on a USB disk at 1-2."""
    head.usb("1-2", ids=("174c", "55aa"), connected=9_000_000)
    head.usb_disk("1-2", "sdz", "65:144", size=500 * 2**30)
    head.partition("sdz", 1, "65:145")
    head.mount("65:145", "/", "/dev/sdz1")


def foreign(head: Head, ids: tuple[str, str], interface: str = "08") -> None:
    head.usb(SLOT, ids=ids, interface=interface)
    head.usb_disk(SLOT, "sda", head.card, size=SIZE)
    head.node("sda", head.card)


def parted(head: Head) -> None:
    head.pi()
    head.partition("sda", 1, "8:1")
    head.partition("sda", 2, "8:2")
