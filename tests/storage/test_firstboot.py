"""What a prepared card does once on the node, as far as it can be done here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from terrible.storage.images.nodefiles import HOST_KEY, HOST_KEY_SIZE, PLACEHOLDER, first_boot, hold, host_key
from terrible.storage.images.owner import Owner
from tests.storage.images import BOOKWORM_IMAGE, MIB, sh

OWNER = Owner("alice", ("ssh-ed25519 AAAA alice",), None)


def run_step(step: str, folder: Path) -> None:
    """One function of the script, with the host's keys in a folder."""
    script = first_boot(OWNER).decode()
    functions = script[: script.index("grow || echo")].replace("/etc/ssh", str(folder))
    subprocess.run(["sh", "-c", f"{functions}\n{step}"], check=True, stdin=subprocess.DEVNULL)


def public(key: Path) -> bytes:
    return sh("ssh-keygen", "-y", "-f", key)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / Path(HOST_KEY).name


def test_the_key_of_its_slot_stays(tmp_path: Path, key: Path) -> None:
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    key.write_bytes(host_key(key.read_bytes()))
    before = key.read_bytes()
    run_step("host_key", tmp_path)
    assert key.read_bytes() == before


@pytest.mark.parametrize("content", [PLACEHOLDER, b"", None])
def test_a_card_without_one_gets_a_key_of_its_own(tmp_path: Path, key: Path, content: bytes | None) -> None:
    if content is not None:
        key.write_bytes(content)
        key.chmod(0o600)
    run_step("host_key", tmp_path)
    assert public(key).startswith(b"ssh-ed25519 ")
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_key_that_has_no_room_on_the_card_is_not_cut() -> None:
    with pytest.raises(ValueError, match="room for 1024"):
        host_key(bytes(HOST_KEY_SIZE + 1))


def test_a_step_that_fails_keeps_no_other_from_being_done() -> None:
    script = first_boot(Owner("alice", OWNER.keys, "en_GB.UTF-8")).decode()
    calls = [line for line in script.splitlines() if "||" in line and "first boot:" in line]
    assert [call.split()[0] for call in calls] == ["grow", "host_key", "account", "set_locale"]
    assert script.index("set_locale || ") < script.index("touch /var/lib/terrible/first-boot-done")
    assert "account" not in first_boot(None).decode()


def test_the_partition_grows_and_the_disk_keeps_its_name(tmp_path: Path) -> None:
    card = BOOKWORM_IMAGE.build(tmp_path / "card.img")
    before = sh("sfdisk", "--dump", card).decode()
    with card.open("r+b") as file:
        file.truncate(200 * MIB)
    line = next(line for line in first_boot(None).decode().splitlines() if "sfdisk --quiet" in line)
    command = line.partition("&&")[0].replace('"$number"', "2").replace('"$disk"', f"'{card}'")
    subprocess.run(["sh", "-ec", f"PATH=$PATH:/usr/sbin; {command}"], check=True)
    after = sh("sfdisk", "--dump", card).decode()
    assert "label-id: 0x8a3b5c7d" in before
    assert "label-id: 0x8a3b5c7d" in after
    assert f"start= {48 * 2048:11}, size= {152 * 2048:11}" in after
    sh("e2fsck", "-fn", f"{card}?offset={48 * MIB}")


def test_only_installed_kernels_and_firmware_are_put_on_hold() -> None:
    status = "Package: {}\nStatus: {} installed\nDescription: x\n Status: install ok installed\n\n"
    names = ["linux-image-rpi-v8", "linux-image-6.12.25+rpt-rpi-v8", "raspi-firmware", "raspberrypi-kernel"]
    others = ["linux-headers-rpi-v8", "raspi-firmware-extra", "openssh-server"]
    text = "".join(status.format(name, "install ok") for name in [*names, *others])
    changed, held = hold(text + "Package: raspi-firmware\nStatus: deinstall ok config-files\n\n")
    assert held == names
    assert changed.count("\nStatus: hold ok installed\n") == len(names)
    assert changed.replace("Status: hold ok", "Status: install ok").startswith(text)
    assert hold(changed) == (changed, [])
