"""`terrible image prepare` makes a sound image or none, and never touches the one it is given."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import signal
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from terrible.errors import HostError
from terrible.storage.images import image as images
from terrible.storage.images.extfs import ExtFs
from terrible.storage.images.nodefiles import HOST_KEY, PLACEHOLDER
from terrible.storage.images.owner import Owner
from terrible.storage.images.prepare import prepare
from tests.storage.images import BOOKWORM_IMAGE, MIB, PATH, Stock, pack, sh
from tests.storage.prepared import OWNER, Made, quiet


@pytest.mark.parametrize("how", ["xz", "gz", "zst"])
def test_a_packed_image_gives_the_same(bookworm: Path, of_bookworm: Made, tmp_path: Path, how: str) -> None:
    copy = tmp_path / "os.img"
    copy.write_bytes(bookworm.read_bytes())
    mark = prepare(pack(copy, how), tmp_path / "node.img", OWNER, None, quiet)
    assert mark == json.loads(of_bookworm.boot["terrible.json"])
    assert mark["from"] == hashlib.sha256(bookworm.read_bytes()).hexdigest()
    assert Made(tmp_path / "node.img").boot == of_bookworm.boot


def test_the_stock_image_is_never_touched(bookworm: Path, tmp_path: Path) -> None:
    before = (bookworm.read_bytes(), bookworm.stat().st_mtime_ns)
    prepare(bookworm, tmp_path / "node.img", OWNER, None, quiet)
    with pytest.raises(HostError, match="already there"):
        prepare(bookworm, bookworm, OWNER, None, quiet)
    assert (bookworm.read_bytes(), bookworm.stat().st_mtime_ns) == before


def test_holes_stay_holes(bookworm: Path, tmp_path: Path) -> None:
    out = tmp_path / "node.img"
    prepare(bookworm, out, OWNER, None, quiet)
    assert out.stat().st_size == bookworm.stat().st_size
    assert out.stat().st_blocks * 512 < bookworm.stat().st_size // 4
    assert out.stat().st_mode & 0o777 == 0o644


def refusal(image: Path, folder: Path, owner: Owner = OWNER) -> str:
    """What is said against an image; nothing may be left of it."""
    before = set(folder.iterdir())
    with pytest.raises(HostError) as refused:
        prepare(image, folder / "node.img", owner, None, quiet)
    assert set(folder.iterdir()) == before
    return str(refused.value)


def test_a_prepared_image_is_not_prepared_again(of_bookworm: Made, tmp_path: Path) -> None:
    assert (
        refusal(of_bookworm.path, tmp_path)
        == f"{of_bookworm.path}: it has been prepared already; take the stock image"
    )


@pytest.mark.parametrize("user", ["backup", "gpio"])
def test_the_systems_own_accounts_and_groups_are_nobodys(bookworm: Path, tmp_path: Path, user: str) -> None:
    """On the node the account could not be made, and nobody could ever log in."""
    said = refusal(bookworm, tmp_path, replace(OWNER, user=user))
    assert said == f"--user {user}: the image has an account or a group of that name; take another"


@pytest.mark.parametrize("locale", ["xx_XX.UTF-8", "aa_DJ.UTF-8"])
def test_a_locale_that_the_image_cannot_make(bookworm: Path, tmp_path: Path, locale: str) -> None:
    said = refusal(bookworm, tmp_path, replace(OWNER, locale=locale))
    assert said == f"--locale {locale}: the image knows no such language and country"


@pytest.mark.parametrize(("user", "locale"), [("pi", "hi_IN.UTF-8"), ("pi-2", None)])
def test_the_first_account_and_what_locales_are_called_without_utf_8(
    bookworm: Path, tmp_path: Path, user: str, locale: str | None
) -> None:
    mark = prepare(bookworm, tmp_path / "node.img", Owner(user, OWNER.keys, locale), None, quiet)
    assert mark["user"] == user


def test_an_image_of_a_card_that_was_pulled_out(bookworm: Path, tmp_path: Path) -> None:
    image = tmp_path / "os.img"
    image.write_bytes(bookworm.read_bytes())
    sh("debugfs", "-w", "-R", "feature needs_recovery", f"{image}?offset={48 * MIB}")
    assert "was not unmounted" in refusal(image, tmp_path)


def test_an_image_with_no_ext4_in_it(bookworm: Path, tmp_path: Path) -> None:
    image = tmp_path / "os.img"
    image.write_bytes(bookworm.read_bytes()[: 48 * MIB] + bytes(16 * MIB))
    assert "no ext4" in refusal(image, tmp_path)


def test_an_image_of_another_system(tmp_path: Path) -> None:
    image = Stock(root_extra={"var/lib/dpkg/status": b""}).build(tmp_path / "os.img")
    sh("debugfs", "-w", "-R", "rm /var/lib/dpkg/status", f"{image}?offset={48 * MIB}")
    assert "only that can be prepared" in refusal(image, tmp_path)


def test_an_image_whose_linux_has_no_room_left(tmp_path: Path) -> None:
    image = BOOKWORM_IMAGE.build(tmp_path / "os.img")
    where = f"{image}?offset={48 * MIB}"
    for number in range(3):  # what a file takes besides its content is not known before
        shown = sh("debugfs", "-R", "show_super_stats -h", where).decode().splitlines()
        free = next(int(line.split()[-1]) for line in shown if line.startswith("Free blocks:"))
        (tmp_path / "filler").write_bytes(b"x" * 1024 * (free * 99 // 100 - 2))
        sh("debugfs", "-w", "-R", f"write {tmp_path / 'filler'} filler{number}", where)
    assert "debugfs cannot change the image" in refusal(image, tmp_path)


def test_a_damaged_boot_partition_is_found_before_it_is_given_out(bookworm: Path, tmp_path: Path) -> None:
    image = tmp_path / "os.img"
    content = bytearray(bookworm.read_bytes())
    reserved, tables = 32, struct.unpack_from("<I", content, 8 * MIB + 36)[0]
    content[8 * MIB + (reserved + tables) * 512 + 2000 * 4] ^= 0xFF  # the second table contradicts the first
    image.write_bytes(content)
    assert "fsck.fat finds its boot partition damaged" in refusal(image, tmp_path)


def test_a_damaged_linux_partition_is_found_before_it_is_given_out(bookworm: Path, tmp_path: Path) -> None:
    image = tmp_path / "os.img"
    image.write_bytes(bookworm.read_bytes())
    sh("debugfs", "-w", "-R", "sif /usr/lib/os-release links_count 7", f"{image}?offset={48 * MIB}")
    assert "e2fsck finds its Linux partition damaged" in refusal(image, tmp_path)


def test_a_full_disk_leaves_nothing_behind(bookworm: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 * MIB, before[1]))
    try:
        assert "File too large" in refusal(bookworm, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_missing_programs_are_named_with_the_line_that_installs_them(
    bookworm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terrible.storage.images.programs._PATH", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refusal(bookworm, tmp_path)
    assert said.endswith("; sudo apt install dosfstools e2fsprogs mtools")


def test_a_file_name_that_would_mean_something_to_the_programs(bookworm: Path, tmp_path: Path) -> None:
    image = tmp_path / "an image?offset=7@@9 'x'.img"
    image.write_bytes(bookworm.read_bytes())
    out = tmp_path / "out?offset=1@@2 $x.img"
    assert prepare(image, out, OWNER, None, quiet)["user"] == "alice"
    with images.opened(out, tmp_path, whole=True) as opened:
        assert opened.table.root is not None
        assert ExtFs(opened.fd, opened.table.root.start).read(HOST_KEY, 1024) == PLACEHOLDER


def test_directories_with_an_index_as_a_kernel_makes_them(tmp_path: Path) -> None:
    many = {f"etc/{folder}/some-file-with-a-long-name-{number}": b"" for number in range(300)
            for folder in ("systemd/system", "ssh/sshd_config.d", "udev/rules.d")}  # fmt: skip
    image = Stock(root_extra=many).build(tmp_path / "os.img")
    root = tmp_path / "root"
    sh("dd", f"if={image}", f"of={root}", "bs=1M", f"skip={48}", "status=none")
    subprocess.run(
        [shutil.which("e2fsck", path=PATH) or "e2fsck", "-fyD", root], capture_output=True, check=False
    )
    sh("dd", f"if={root}", f"of={image}", "bs=1M", f"seek={48}", "conv=notrunc", "status=none")
    assert sh("debugfs", "-R", "htree_dump /etc/systemd/system", root).startswith(b"Root node dump")
    prepare(image, tmp_path / "node.img", OWNER, None, quiet)
    made = Made(tmp_path / "node.img")
    assert "terrible-first-boot.service" in made.debugfs("ls -p /etc/systemd/system")
    sh("e2fsck", "-fn", f"{made.path}?offset={made.root_at}")
