"""`terrible image prepare`: a stock image becomes a node's."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from terrible.errors import HostError
from terrible.storage.images.bootdir import make
from terrible.storage.images.nodefiles import (
    HOST_KEY,
    HOST_KEY_SIZE,
    KEYS,
    PLACEHOLDER,
    SCRIPT,
    UNIT,
    host_key,
)
from terrible.storage.images.owner import Init
from terrible.storage.images.prepare import prepare
from tests.storage.images import BOOKWORM_IMAGE, DPKG, MIB, ROOT, TRIXIE_IMAGE, Stock, sh
from tests.storage.prepared import OWNER, Made, quiet

# -- what every node needs ----------------------------------------------------------------------------


def test_both_file_systems_are_sound(made: Made, tmp_path: Path) -> None:
    sh("e2fsck", "-fn", f"{made.path}?offset={made.root_at}")
    sh("dd", f"if={made.path}", f"of={tmp_path / 'fat'}", "bs=1M", f"skip={made.fat_at // MIB}",
       f"count={made.fat_size // MIB}", "status=none")  # fmt: skip
    sh("fsck.fat", "-n", tmp_path / "fat")


def test_the_boot_rom_finds_no_first_stage_on_the_card_but_boot_does(made: Made, tmp_path: Path) -> None:
    assert "bootcode.bin" not in made.boot
    listed = sh("mdir", "-b", "-a", "-i", f"{made.path}@@{made.fat_at}").decode()
    assert "bootcode.bin.usb" in listed
    assert "BOOTCODE BIN" not in sh("mdir", "-a", "-i", f"{made.path}@@{made.fat_at}").decode().upper()
    make(made.path, tmp_path / "boot")
    assert (tmp_path / "boot" / "bootcode.bin").read_bytes() == BOOKWORM_IMAGE.files["bootcode.bin"]
    assert not (tmp_path / "boot" / "bootcode.bin.usb").exists()


def test_its_boot_tree_names_the_card_of_this_very_image(made: Made, tmp_path: Path) -> None:
    record = make(made.path, tmp_path / "boot")
    assert record["root"] == ROOT
    assert record["first_boot"] == []
    assert record["prepared"]["user"] == "alice"
    assert f" root={ROOT} " in (tmp_path / "boot" / "cmdline.txt.template").read_text()
    config = (tmp_path / "boot" / "config.txt").read_text()
    assert config.count("dtoverlay=dwc2\n") == 1


def test_the_gadget_gets_an_address(made: Made) -> None:
    assert made.boot["config.txt"].endswith(b"dtoverlay=dwc2\n")
    rule = made.root("/etc/udev/rules.d/90-terrible-gadget.rules").decode()
    assert (
        'SUBSYSTEM=="net", ACTION=="add|change|move", ENV{DEVTYPE}=="gadget", ENV{NM_UNMANAGED}="0"\n' in rule
    )
    connection = "/etc/NetworkManager/system-connections/terrible.nmconnection"
    assert b"cloned-mac-address=preserve\n" in made.root(connection)
    assert made.mode(connection) == "0600 0:0"  # NetworkManager takes no other


def test_ssh_is_on_with_keys_only(made: Made) -> None:
    wants = "/etc/systemd/system/multi-user.target.wants"
    assert '"/usr/lib/systemd/system/ssh.service"' in made.debugfs(f"stat {wants}/ssh.service")
    assert (
        made.root("/etc/ssh/sshd_config.d/terrible.conf")
        == f"HostKey {HOST_KEY}\nPasswordAuthentication no\n".encode()
    )


def test_the_name_is_left_to_the_slot(made: Made) -> None:
    assert "/hostname/" not in made.debugfs("ls -p /etc")
    assert b"hostname-mode=none" in made.root("/etc/NetworkManager/conf.d/terrible.conf")


def test_kernel_and_firmware_are_on_hold_and_nothing_else(made: Made) -> None:
    want = DPKG.replace("rpi-v6\nStatus: install ok inst", "rpi-v6\nStatus: hold ok inst")
    want = want.replace("raspi-firmware\nStatus: install", "raspi-firmware\nStatus: hold")
    assert made.root("/var/lib/dpkg/status").decode() == want
    assert json.loads(made.boot["terrible.json"])["held"] == ["linux-image-rpi-v6", "raspi-firmware"]


@pytest.mark.parametrize(
    "hook", ["/etc/kernel/postinst.d/zz-terrible", "/etc/initramfs/post-update.d/zz-terrible"]
)
def test_no_upgrade_brings_the_first_stage_back(made: Made, hook: str) -> None:
    assert b"\nrm -f /boot/firmware/bootcode.bin" in made.root(hook)
    assert made.mode(hook) == "0755 0:0"


def test_the_stock_keys_of_the_host_are_made_no_more(made: Made) -> None:
    assert '"/dev/null"' in made.debugfs("stat /etc/systemd/system/regenerate_ssh_host_keys.service")
    assert b"firstboot" not in made.boot["cmdline.txt"]


def test_a_slots_key_can_be_put_onto_the_card_where_the_image_says(made: Made, tmp_path: Path) -> None:
    assert made.root(HOST_KEY) == PLACEHOLDER
    assert made.mode(HOST_KEY) == "0600 0:0"
    place = json.loads(made.boot["terrible.json"])["host_key"]
    assert place["size"] == HOST_KEY_SIZE
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "node2", "-f", tmp_path / "key")
    card = bytearray(made.path.read_bytes())
    key = host_key((tmp_path / "key").read_bytes())
    assert len(key) == HOST_KEY_SIZE
    assert card[place["offset"] : place["offset"] + HOST_KEY_SIZE] == PLACEHOLDER
    card[place["offset"] : place["offset"] + HOST_KEY_SIZE] = key
    written = tmp_path / "card.img"
    written.write_bytes(card)
    sh("e2fsck", "-fn", f"{written}?offset={made.root_at}")
    (tmp_path / "on card").touch(0o600)
    (tmp_path / "on card").write_bytes(
        sh("debugfs", "-R", f"cat {HOST_KEY}", f"{written}?offset={made.root_at}")
    )
    assert sh("ssh-keygen", "-y", "-f", tmp_path / "on card") == (tmp_path / "key.pub").read_bytes()


def test_what_is_done_once_on_the_node_is_a_service_of_its_own(made: Made, tmp_path: Path) -> None:
    wants = "/etc/systemd/system/multi-user.target.wants"
    assert f'"/etc/systemd/system/{UNIT}"' in made.debugfs(f"stat {wants}/{UNIT}")
    assert f"ExecStart={SCRIPT}\n".encode() in made.root(f"/etc/systemd/system/{UNIT}")
    assert made.mode(SCRIPT) == "0755 0:0"
    (tmp_path / "first-boot").write_bytes(made.root(SCRIPT))
    sh("sh", "-n", tmp_path / "first-boot")


# -- the formats --------------------------------------------------------------------------------------


def test_bookworm_is_told_by_the_service(of_bookworm: Made) -> None:
    script = of_bookworm.root(SCRIPT).decode()
    assert "/usr/lib/userconf-pi/userconf alice ''" in script
    assert "en_GB.UTF-8" in script
    assert of_bookworm.root(KEYS).decode() == "".join(f"{key}\n" for key in OWNER.keys)


def test_trixie_is_told_by_cloud_init(of_trixie: Made) -> None:
    first, _, rest = of_trixie.boot["user-data"].decode().partition("\n")
    assert first == "#cloud-config"
    config = json.loads(rest)
    assert config["user"]["name"] == "alice"
    assert config["user"]["ssh_authorized_keys"] == list(OWNER.keys)
    assert config["locale"] == "en_GB.UTF-8"
    assert (config["ssh_deletekeys"], config["ssh_genkeytypes"], config["preserve_hostname"]) == (
        False,
        [],
        True,
    )
    assert of_trixie.boot["meta-data"] == TRIXIE_IMAGE.extra["meta-data"]
    assert "userconf" not in of_trixie.root(SCRIPT).decode()
    assert (
        of_trixie.boot["cmdline.txt"].decode().split()[-1] == "rootwait"
    )  # not `resize`, which renames the disk


def test_a_format_that_is_given_beats_the_one_that_is_found(trixie: Path, tmp_path: Path) -> None:
    prepare(trixie, tmp_path / "node.img", OWNER, Init.PRESEED, quiet)
    made = Made(tmp_path / "node.img")
    config = tomllib.loads(made.boot["rpi-preseed.toml"].decode())
    assert config["user"] == {"name": "alice", "groups": ["sudo"], "passwordless_sudo": True}
    assert config["ssh"]["authorized_keys"] == list(OWNER.keys)
    assert config["locale"]["lang"] == "en_GB.UTF-8"


def test_an_image_that_tells_no_format_has_to_be_given_one(tmp_path: Path) -> None:
    stock = Stock(cmdline="root=/dev/mmcblk0p2 rootwait\n")
    image = stock.build(tmp_path / "os.img")
    sh("mdel", "-i", f"{image}@@{8 * MIB}", "::/issue.txt")
    with pytest.raises(HostError, match=r"os\.img: nothing in it tells its format.*--init"):
        prepare(image, tmp_path / "node.img", OWNER, None, quiet)
    assert prepare(image, tmp_path / "node.img", OWNER, Init.SYSTEMD, quiet)["init"] == "systemd"
