"""`terrible image` on the command line: what it shows, and one clear line for what it will not do."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from terrible.errors import UsageError
from terrible.storage.images.owner import Owner, check_owner, read_keys
from tests.storage.images import BOOKWORM_IMAGE, Stock, pack


def public(kind: str, *parts: bytes) -> str:
    """A public key as ssh-keygen writes it (RFC 4253, 6.6)."""
    fields = b"".join(len(part).to_bytes(4) + part for part in (kind.encode(), *parts))
    return f"{kind} {base64.b64encode(fields).decode()}"


ED25519 = public("ssh-ed25519", bytes(range(32)))
ECDSA = public("ecdsa-sha2-nistp256", b"nistp256", bytes(65))
TOKEN = public("sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:")
KEY = f"{ED25519} alice@desk"


def terrible(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "terrible", "image", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, text=True)


def refused(*arguments: str | Path, code: int = 1) -> str:
    """The one line it says."""
    done = terrible(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("terrible: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "id.pub").write_text(f"{KEY}\n")
    return tmp_path / "id.pub"


def test_inspect_for_programs(trixie: Path) -> None:
    shown = json.loads(terrible("inspect", trixie, "--json").stdout)
    assert shown["os"] == "Raspbian GNU/Linux 12 (bookworm)"
    assert shown["issue"] == "Raspberry Pi reference 2025-05-13"
    assert shown["kernel_modules"] == ["6.12.25+rpt-rpi-v6", "6.12.25+rpt-rpi-v8"]
    assert shown["boots"] == ["Zero W", "Zero 2 W", "Pi 4"]
    assert shown["boots_from_card_first"] is True
    assert shown["init"] == "cloud-init"
    assert shown["first_boot"] == ["resize"]
    assert shown["root"] == "PARTUUID=8a3b5c7d-02"
    versions = {file["name"]: file["version"] for file in shown["files"]}
    assert versions["kernel8.img"] == "6.12.25+rpt-rpi-v8"
    assert versions["start.elf"] == "5ba0ad5f9d8b1a4a0b1f"
    assert [(part["type"], part["start"] >> 20) for part in shown["partitions"]] == [
        ("FAT32", 8),
        ("Linux", 48),
    ]


def test_inspect_for_people_of_a_packed_image(bookworm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "os.img"
    copy.write_bytes(bookworm.read_bytes())
    shown = terrible("inspect", pack(copy, "xz")).stdout
    assert f"{copy}.xz, packed" in shown
    assert "unknown: it is packed; unpacked, its Linux partition would tell" in shown
    assert "Raspberry Pi reference 2025-05-13" in shown
    assert "its card, before USB: it has bootcode.bin" in shown
    assert "systemd, by the words init=/usr/lib/raspberrypi-sys-mods/firstboot" in shown


def test_from_a_stock_image_to_a_nodes_and_its_boot_files(bookworm: Path, tmp_path: Path, key: Path) -> None:
    out, boot = tmp_path / "node.img", tmp_path / "boot"
    made = terrible(
        "prepare", bookworm, "-o", out, "--ssh-key", key, "--user", "alice", "--locale", "en_GB.UTF-8"
    )
    assert (made.returncode, made.stdout) == (
        0,
        f"{out}: a node's image; alice may log in; packages on hold: linux-image-rpi-v6, raspi-firmware\n",
    )
    assert made.stderr.endswith("checking …\n")
    shown = terrible("inspect", out).stdout
    assert "USB: it has no bootcode.bin" in shown
    assert "boots" in shown and "Zero W" in shown
    assert "by terrible, for alice" in shown
    done = terrible("boot", out, boot)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{boot}: the boot files of node.img, sha256 ")
    assert (boot / "bootcode.bin").read_bytes() == BOOKWORM_IMAGE.files["bootcode.bin"]


def test_bad_input_is_one_line_and_no_success(bookworm: Path, tmp_path: Path, key: Path) -> None:
    (tmp_path / "text").write_text("no image\n" * 100)
    out = tmp_path / "out"
    for command in (["inspect"], ["boot"], ["prepare", "-o", out, "--ssh-key", key]):
        more = [out] if command == ["boot"] else []
        assert "no partition table" in refused(*command, tmp_path / "text", *more)
        assert "No such file" in refused(*command, tmp_path / "absent", *more)
    assert "already there" in refused("boot", bookworm, tmp_path)
    assert "No such file" in refused("boot", bookworm, tmp_path / "absent" / "boot")
    assert "No such file" in refused("prepare", bookworm, "-o", tmp_path / "absent" / "x", "--ssh-key", key)
    assert "No such file" in refused("prepare", bookworm, "-o", out, "--ssh-key", tmp_path / "absent")
    assert "private key" in _with_key(bookworm, out, "-----BEGIN OPENSSH PRIVATE KEY-----\n", tmp_path)
    assert "line 2: no public ssh key" in _with_key(bookworm, out, f"{KEY}\nhello\n", tmp_path)
    assert "--user" in refused("prepare", bookworm, "-o", out, "--ssh-key", key, "--user", "root", code=2)
    assert "--locale" in refused("prepare", bookworm, "-o", out, "--ssh-key", key, "--locale", "x", code=2)
    assert not out.exists()


def _with_key(image: Path, out: Path, text: str, folder: Path) -> str:
    (folder / "bad").write_text(text)
    return refused("prepare", image, "-o", out, "--ssh-key", folder / "bad", code=2)


def test_where_the_output_has_no_room_it_is_one_line_too(bookworm: Path) -> None:
    command = [sys.executable, "-m", "terrible", "image", "inspect", str(bookworm)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert (done.returncode, done.stderr) == (1, "terrible: output: No space left on device\n")


def test_a_reader_that_has_seen_enough_is_no_error(bookworm: Path) -> None:
    command = [sys.executable, "-m", "terrible", "image", "inspect", str(bookworm)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_image_cannot_write_to_the_terminal(bookworm: Path, tmp_path: Path) -> None:
    plain, hostile = b"Raspberry Pi reference", b"\x1b[2J\x1b[31m reference   "
    assert len(plain) == len(hostile)
    (tmp_path / "os.img").write_bytes(bookworm.read_bytes().replace(plain, hostile))
    shown = terrible("inspect", tmp_path / "os.img")
    assert "?[2J?[31m reference" in shown.stdout
    assert shown.stdout.replace("\n", "").isprintable()


@pytest.mark.skipif(os.geteuid() != 0, reason="is nobody already")
def test_none_of_it_needs_root(bookworm: Path) -> None:
    folder = Path("/tmp") / f"terrible-image-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    try:
        (folder / "os.img").write_bytes(bookworm.read_bytes())
        (folder / "id.pub").write_text(KEY)
        for path in folder.iterdir():
            path.chmod(0o444)
        program = (
            "import os, sys\nfrom pathlib import Path\nfrom terrible.cli import image\n"
            # Once it is nobody it may not be able to read the Python that it runs on.
            "for name in ('utf-16-le', 'cp437'): 'x'.encode(name)\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"here = Path({str(folder)!r})\nnode = here / 'node.img'\n"
            "asked = image.Asked('alice', [here / 'id.pub'], None, None)\n"
            "sys.exit(image.prepare(here / 'os.img', node, asked) or image.boot(node, here / 'boot'))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stderr
        assert (folder / "boot" / "bootcode.bin").exists()
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


# -- keys and names -----------------------------------------------------------------------------------


def test_keys_are_taken_and_what_surrounds_them_is_not() -> None:
    others = f"  {ECDSA} a b\"'$(reboot)\n{TOKEN}\n"
    text = f"# mine\n\n{KEY}\n{others}"
    assert read_keys(text, "f") == [
        KEY,
        f"{ECDSA} a_b____reboot_",
        TOKEN,
    ]


@pytest.mark.parametrize("text", ["", "# none\n", f'command="sh" {ED25519}', "ssh-rsa", "ssh-rsa !!"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(UsageError, match="f"):
        read_keys(text, "f")


@pytest.mark.parametrize("kept", [20, 40, 64, 67])
def test_a_key_of_which_a_part_was_copied_lets_nobody_in(kept: int) -> None:
    kind, key = ED25519.split()
    assert len(key) == 68
    with pytest.raises(UsageError, match="f, line 1: the key is not whole"):
        read_keys(f"{kind} {key[:kept]} alice", "f")


def test_a_key_is_of_the_kind_that_it_says() -> None:
    with pytest.raises(UsageError, match="not whole"):
        read_keys(f"ssh-rsa {ED25519.split()[1]}", "f")


@pytest.mark.parametrize("user", ["", "root", "Alice", "1a", "a b", "a;reboot", "a" * 33, "a\n"])
def test_what_is_no_name(user: str) -> None:
    with pytest.raises(UsageError, match="--user"):
        check_owner(Owner(user, (), None))


@pytest.mark.parametrize("locale", ["", "en", "en_GB", "en_GB.UTF-8; reboot", "en_GB.UTF-8\n"])
def test_what_is_no_locale(locale: str) -> None:
    with pytest.raises(UsageError, match="--locale"):
        check_owner(Owner("alice", (), locale))


def test_a_release_file_that_is_no_text_costs_no_memory(tmp_path: Path) -> None:
    large = b'PRETTY_NAME="x"\n' + bytes(2 << 20)
    stock = Stock(root_extra={"usr/lib/os-release": large}).build(tmp_path / "stock.img")
    shown = terrible("inspect", stock).stdout
    assert f"unknown: its /usr/lib/os-release has {len(large)} bytes" in shown
