"""Images as pi-gen makes them, small: an MBR, a FAT for booting, an ext4 for the rest, made by mkfs.

Sizes are smaller than in life; types, order, alignment, labels and mkfs options are those of pi-gen's
export-image/prerun.sh, and the files those of Raspberry Pi OS Bookworm and Trixie as far as they matter.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
DISK_ID = 0x8A3B5C7D
ROOT = "PARTUUID=8a3b5c7d-02"
CONFIG = (
    "dtparam=audio=on\nauto_initramfs=1\ndtoverlay=vc4-kms-v3d\n"
    "[cm4]\notg_mode=1\n[cm5]\ndtoverlay=dwc2,dr_mode=host\n[all]\n"
)
BOOKWORM = (
    f"console=serial0,115200 console=tty1 root={ROOT} rootfstype=ext4 fsck.repair=yes rootwait "
    "quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n"
)
TRIXIE = f"console=serial0,115200 console=tty1 root={ROOT} rootfstype=ext4 fsck.repair=yes rootwait resize\n"
FIRMWARE = b"VC_BUILD_ID_VERSION: 5ba0ad5f9d8b1a4a0b1f (clean)\0"
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\nbackup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n"
    "pi:x:1000:1000:,,,:/home/pi:/bin/bash\n"
)
GROUP = "root:x:0:\nbackup:x:34:\ngpio:x:993:pi\npi:x:1000:\n"
LOCALES = "aa_DJ ISO-8859-1\nen_GB.UTF-8 UTF-8\nen_GB ISO-8859-1\nhi_IN UTF-8\n"
DPKG = (
    "Package: linux-image-rpi-v6\nStatus: install ok installed\nVersion: 1:6.12.25-1+rpt1\n\n"
    "Package: raspi-firmware\nStatus: install ok installed\nVersion: 1:1.20250430-1\n\n"
    "Package: openssh-server\nStatus: install ok installed\nVersion: 1:9.2p1\n\n"
    "Package: linux-image-6.6.0-rpi-v6\nStatus: deinstall ok config-files\nVersion: 1:6.6\n\n"
)


def sh(*command: str | Path, given: bytes = b"") -> bytes:
    """Run it; what it prints. Fails with what it says."""
    done = subprocess.run(
        command, input=given, capture_output=True, check=False, env={**os.environ, "PATH": PATH}
    )
    assert done.returncode == 0, f"{command}: {done.stdout!r} {done.stderr!r}"
    return done.stdout


def noise(name: str, size: int) -> bytes:
    """Bytes that do not pack, the same for the same name."""
    return random.Random(name).randbytes(size)


def kernel(version: str) -> bytes:
    """A compressed kernel that says its version, as an arm64 kernel8.img and a zImage do."""
    inside = noise(version, 50_000) + f"Linux version {version} (serge@example) #1".encode() + bytes(100_000)
    return bytes(100) + gzip.compress(inside, mtime=0)


def boot_files(cmdline: str) -> dict[str, bytes]:
    """What is in the FAT of an image, without its way of first boot."""
    models = ["bcm2708-rpi-zero-w", "bcm2710-rpi-zero-2-w", "bcm2711-rpi-4-b"]
    return {
        "bootcode.bin": b"first stage " * 4000,
        "start.elf": FIRMWARE * 20_000,
        "start4.elf": FIRMWARE * 10_000,
        "fixup.dat": b"fix" * 2000,
        "fixup4.dat": b"fix4" * 2000,
        "kernel.img": kernel("6.12.25+rpt-rpi-v6"),
        "kernel8.img": kernel("6.12.25+rpt-rpi-v8"),
        "config.txt": CONFIG.encode(),
        "cmdline.txt": cmdline.encode(),
        "issue.txt": b"Raspberry Pi reference 2025-05-13\nGenerated using pi-gen, stage2\n",
        "empty.txt": b"",
        **{f"{model}.dtb": model.encode() * 900 for model in models},
        **{
            f"overlays/overlay-with-a-long-name-{number}.dtbo": noise(str(number), 1700)
            for number in range(60)
        },
        "overlays/README": b"read me " * 30_000,
    }


def root_files() -> dict[str, bytes]:
    """What is in the ext4 of a Raspberry Pi OS, as far as it matters."""
    return {
        "usr/lib/os-release": b'PRETTY_NAME="Raspbian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\n',
        "usr/lib/systemd/system/ssh.service": b"[Service]\n",
        "usr/lib/raspberrypi-sys-mods/firstboot": b"#!/bin/bash\n",
        "usr/lib/modules/6.12.25+rpt-rpi-v6/modules.dep": b"",
        "usr/lib/modules/6.12.25+rpt-rpi-v8/modules.dep": b"",
        "etc/ssh/sshd_config": b"Include /etc/ssh/sshd_config.d/*.conf\n",
        "etc/udev/rules.d/99-com.rules": b"",
        "etc/systemd/system/multi-user.target.wants/empty": b"",
        "etc/NetworkManager/system-connections/empty": b"",
        "etc/initramfs/post-update.d/z50-raspi-firmware": b"#!/bin/sh\n",
        "etc/kernel/postinst.d/z50-raspi-firmware": b"#!/bin/sh\n",
        "etc/hostname": b"raspberrypi\n",
        "etc/passwd": PASSWD.encode(),
        "etc/group": GROUP.encode(),
        "usr/share/i18n/SUPPORTED": LOCALES.encode(),
        "var/lib/dpkg/status": DPKG.encode(),
        "var/lib/dpkg/info/list": b"",
    }


@dataclass
class Stock:
    """A stock image to build. `fat` is the mkfs.vfat -F; sizes in MiB."""

    cmdline: str = BOOKWORM
    extra: dict[str, bytes] = field(default_factory=dict)
    root_extra: dict[str, bytes] = field(default_factory=dict)
    fat: int = 32
    boot_at: int = 8
    boot_size: int = 40
    root_size: int = 16

    @property
    def files(self) -> dict[str, bytes]:
        return {**boot_files(self.cmdline), **self.extra}

    def build(self, path: Path) -> Path:
        """Write the image; what the FAT holds is left in a folder beside it, `<name>.files`."""
        folder = path.with_name(path.name + ".files")
        _lay(folder, self.files)
        root = path.with_name(path.name + ".root")
        _lay(root, {**root_files(), **self.root_extra})
        (root / "etc/os-release").symlink_to("../usr/lib/os-release")
        total = self.boot_at + self.boot_size + self.root_size
        with path.open("wb") as file:
            file.write(_mbr(self))
            file.truncate(total * MIB)
        _make_fat(path, self, folder)
        _make_ext4(path, self, root)
        shutil.rmtree(root)
        return path


BOOKWORM_IMAGE = Stock()
TRIXIE_IMAGE = Stock(
    TRIXIE,
    {
        "user-data": b"#cloud-config\n#hostname: raspberrypi\n",
        "meta-data": b"dsmode: local\ninstance_id: rpios-image\n",
        "network-config": b"#network:\n#  version: 2\n",
    },
    {"etc/cloud/cloud.cfg": b"", "usr/bin/cloud-init": b""},
)


def _mbr(stock: Stock) -> bytes:
    kinds = {12: 0x01, 16: 0x0E, 32: 0x0C}
    entries = [
        (kinds[stock.fat], stock.boot_at * 2048, stock.boot_size * 2048),
        (0x83, (stock.boot_at + stock.boot_size) * 2048, stock.root_size * 2048),
    ]
    table = b"".join(struct.pack("<B3xB3xII", 0, *entry) for entry in entries)
    return bytes(440) + struct.pack("<IH", DISK_ID, 0) + table.ljust(64, b"\0") + b"\x55\xaa"


def _lay(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _make_fat(path: Path, stock: Stock, folder: Path) -> None:
    volume = path.with_name(path.name + ".fat")
    with volume.open("wb") as file:
        file.truncate(stock.boot_size * MIB)
    clusters = ["-s", "1"] if stock.fat == 32 else []
    sh("mkfs.vfat", "-n", "bootfs", "-F", str(stock.fat), *clusters, volume)
    sh("mcopy", "-s", "-i", volume, *sorted(folder.iterdir()), "::/")
    _insert(path, volume, stock.boot_at)


def _make_ext4(path: Path, stock: Stock, root: Path) -> None:
    volume = path.with_name(path.name + ".ext4")
    options = ["-O", "^64bit,^huge_file,metadata_csum", "-E", "root_owner=0:0", "-d", str(root)]
    sh("mke2fs", "-q", "-t", "ext4", "-L", "rootfs", *options, volume, f"{stock.root_size}M")
    _insert(path, volume, stock.boot_at + stock.boot_size)


def _insert(path: Path, volume: Path, at: int) -> None:
    sh("dd", f"if={volume}", f"of={path}", "bs=1M", f"seek={at}", "conv=notrunc,sparse", "status=none")
    volume.unlink()


def pack(image: Path, how: str) -> Path:
    """The image packed with xz, gz or zst, beside it."""
    packed = image.with_name(f"{image.name}.{how}")
    command = {"xz": ["xz", "-0", "-c"], "gz": ["gzip", "-1", "-c"], "zst": ["zstd", "-1", "-q", "-c"]}[how]
    packed.write_bytes(sh(*command, image))
    return packed
