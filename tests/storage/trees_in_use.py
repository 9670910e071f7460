"""Heads that need the disk in the slot, or whose disk there is no card: lock 4 (see `trees`)."""

from __future__ import annotations

from .head import Head
from .trees import TREES, parted, tree

__all__ = ["TREES"]


@tree("lock 4: sda is in use: /media/pi/rootfs is on sda2")
def a_partition_mounted_by_a_desktop(head: Head) -> None:
    parted(head)
    head.mount("8:2", "/media/pi/rootfs", "/dev/sda2")


@tree("lock 4: sda is in use: /mnt is on sda")
def the_whole_disk_mounted(head: Head) -> None:
    head.pi()
    head.mount(head.card, "/mnt", "/dev/sda")


@tree("lock 4: sda is in use: /data is on sda1")
def mounted_in_a_container_only(head: Head) -> None:
    parted(head)
    head.mount("8:1", "/data", "/dev/sda1", process="4711")


@tree("lock 4: sda is in use: /srv is on sda2")
def btrfs_that_hides_its_device_number(head: Head) -> None:
    parted(head)
    head.mount("0:45", "/srv", "/dev/sda2")


@tree("lock 4: sda is in use: btrfs is on sda1")
def the_second_disk_of_a_mounted_btrfs(head: Head) -> None:
    parted(head)
    devices = head.sys / "fs/btrfs/4d8f/devices"
    devices.mkdir(parents=True)
    (devices / "sda1").symlink_to(head.sys / "class/block/sda1")


@tree("lock 4: sda is in use: swap is on sda2")
def swap_on_a_partition(head: Head) -> None:
    parted(head)
    head.swap("/dev/sda2")


@tree("lock 4: sda is in use: sda1 by dm-3")
def a_physical_volume_of_lvm(head: Head) -> None:
    parted(head)
    head.stacked("dm-3", "253:3", on=["sda1"])


@tree("lock 4: sda is in use: sda by md127")
def a_whole_disk_in_an_md_array(head: Head) -> None:
    head.pi()
    head.stacked("md127", "9:127", on=["sda"])


@tree("lock 4: sda is in use: / is on dm-1 on dm-0 on sda2")
def the_head_s_root_on_lvm_on_crypt_of_which_sysfs_tells_only_the_way_down(head: Head) -> None:
    parted(head)
    head.stacked("dm-0", "253:0", on=["sda2"])
    head.stacked("dm-1", "253:1", on=["dm-0"])
    (head.sys / "class/block/sda2").resolve().joinpath("holders/dm-0").unlink()
    head.mount("253:1", "/", "/dev/mapper/vg-root")


@tree("lock 4: sda is in use: / is on loop0 on sda1, /host is on sda1")
def the_head_s_root_in_a_file_on_it(head: Head) -> None:
    parted(head)
    head.mount("8:1", "/host", "/dev/sda1", process="1")
    head.loop("loop0", "7:200", "/host/images/root.img")
    head.mount("7:200", "/", "/dev/loop0")


@tree("lock 4: sda is in use: /mnt is on loop1 on sda1")
def a_file_system_on_a_loop_device_that_has_a_partition_behind_it(head: Head) -> None:
    """Linux lets the disk below be opened with O_EXCL, and it has no holder."""
    parted(head)
    head.loop("loop1", "7:201", "/dev/sda1")
    head.mount("7:201", "/mnt", "/dev/loop1")


@tree("lock 4: sda is in use: swap is on dm-4 on loop1 on sda")
def swap_on_lvm_on_a_loop_device_that_has_the_disk_behind_it(head: Head) -> None:
    head.pi()
    head.loop("loop1", "7:201", "/dev/sda")
    head.stacked("dm-4", "253:4", on=["loop1"])
    head.swap("/dev/dm-4")


@tree("lock 4: sda is in use: / is on loop0p2 on loop0 on sda1, /host is on sda1")
def the_head_s_root_on_a_partition_in_a_file_on_it(head: Head) -> None:
    parted(head)
    head.mount("8:1", "/host", "/dev/sda1", process="1")
    head.loop("loop0", "7:200", "/host/images/whole.img")
    head.partition("loop0", 2, "259:7")
    head.mount("259:7", "/", "/dev/loop0p2")


@tree("lock 4: sda is in use: /srv is on md127p1 on sda1")
def a_partition_of_an_array_of_which_sysfs_tells_only_the_way_down(head: Head) -> None:
    parted(head)
    head.stacked("md127", "9:127", on=["sda1"])
    head.partition("md127", 1, "259:8")
    (head.sys / "class/block/sda1").resolve().joinpath("holders/md127").unlink()
    head.mount("259:8", "/srv", "/dev/md127p1")


@tree("lock 4: sda is in use: /media/pi/my card is on sda1")
def a_mount_point_with_a_blank(head: Head) -> None:
    parted(head)
    head.mount("8:1", r"/media/pi/my\040card", "/dev/sda1")


@tree("lock 4: sda is in use: /boot is on sda1")
def the_head_s_boot_disk(head: Head) -> None:
    parted(head)
    head.mount("8:1", "/boot", "/dev/sda1")


@tree("lock 4: sda has 0 bytes")
def no_card_in_the_pi(head: Head) -> None:
    head.pi(size=0)


@tree("lock 4: sda has 1073741312 bytes")
def a_little_less_than_the_smallest_card(head: Head) -> None:
    head.pi(size=2**30 - 512)


@tree("lock 4: sda has 4000787030016 bytes")
def a_disk_of_four_terabytes(head: Head) -> None:
    head.pi(size=4_000_787_030_016)
