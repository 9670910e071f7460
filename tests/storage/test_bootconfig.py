"""What the command line and config.txt of an image become for nodes that boot over USB."""

from __future__ import annotations

import pytest

from terrible.model import Location, Slot
from terrible.storage.images.bootconfig import plain, read_cmdline, template, with_gadget
from terrible.storage.images.partitions import BadImage
from terrible.usb.templates import render
from tests.storage.images import BOOKWORM, CONFIG, TRIXIE

IMAGER = (
    "console=tty1 root=PARTUUID=1-02 rootwait systemd.run=/boot/firmware/firstrun.sh "
    "systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (BOOKWORM, ["init=/usr/lib/raspberrypi-sys-mods/firstboot"]),
        (TRIXIE, ["resize"]),
        (
            "root=/dev/x init=/usr/lib/raspi-config/init_resize.sh quiet",
            ["init=/usr/lib/raspi-config/init_resize.sh"],
        ),
        (IMAGER, IMAGER.split()[3:]),
        ("root=/dev/x rootwait init=/sbin/other systemd.unit=rescue.target\nresize", []),
        ("", []),
    ],
)
def test_words_for_the_first_boot_are_told_from_the_others(text: str, first: list[str]) -> None:
    cmdline = read_cmdline(text)
    assert list(cmdline.first_boot) == first
    assert not set(first) & set(cmdline.words)
    assert sorted([*cmdline.words, *cmdline.first_boot]) == sorted(text.partition("\n")[0].split())


def test_the_template_is_what_the_first_cluster_was_told_to_write() -> None:
    slot = Slot("node2", 2, Location("1-1.2"), mac="02:54:43:00:00:02", host_mac="02:54:43:01:00:02")
    text = template(read_cmdline(TRIXIE), "/dev/mmcblk0p2")
    assert render(text.encode(), slot, "lab", "base").decode() == (
        "console=serial0,115200 console=tty1 root=/dev/mmcblk0p2 rootfstype=ext4 fsck.repair=yes rootwait  "
        "modules-load=dwc2,g_ether g_ether.dev_addr=02:54:43:00:00:02 g_ether.host_addr=02:54:43:01:00:02 "
        "systemd.hostname=node2\n"
    )


def test_a_gadget_that_the_image_names_gives_way_and_a_dollar_sign_stays() -> None:
    text = template(
        read_cmdline("modules-load=dwc2,g_ether g_ether.dev_addr=02:1 a=$x root=PARTUUID=1-02"), "R"
    )
    assert text.startswith("a=$$x root=R ${first_boot} modules-load=dwc2,${gadget} ")
    assert text.count("modules-load") == 1


def test_a_command_line_without_a_root_gets_one() -> None:
    assert template(read_cmdline("console=tty1"), "/dev/mmcblk0p2").startswith(
        "console=tty1 root=/dev/mmcblk0p2 "
    )


def test_the_card_keeps_its_own_words() -> None:
    assert plain(read_cmdline(TRIXIE)) == TRIXIE.replace(" resize", "")


def test_the_controller_becomes_a_device_on_every_board() -> None:
    config = with_gadget(CONFIG)
    assert config.startswith(CONFIG.rstrip())
    assert config.endswith("\n[all]\n# a network over USB (terrible)\ndtoverlay=dwc2\n")
    assert with_gadget(config) == config


@pytest.mark.parametrize(
    ("config", "is_device"),
    [
        ("dtoverlay=dwc2", True),
        ("[pi4]\nx=1\n[all]\n dtoverlay = dwc2,dr_mode=peripheral ", True),
        ("[cm5]\ndtoverlay=dwc2", False),
        ("dtoverlay=dwc2,dr_mode=host", False),
        ("#dtoverlay=dwc2", False),
        ("", False),
    ],
)
def test_only_a_line_that_holds_for_all_boards_counts(config: str, is_device: bool) -> None:
    assert (with_gadget(config) == config) is is_device


def test_a_line_that_is_longer_than_linux_takes_is_none() -> None:
    longest = "resize ".ljust(2048, "x")
    assert read_cmdline(longest).first_boot == ("resize",)
    with pytest.raises(BadImage, match="2049 characters"):
        read_cmdline(longest + "x\n")
