"""The boot partition of an image as a directory of boot files: `terrible image boot`.

The directory is there as a whole or not at all. What no boot loader asks for and may be secret (accounts,
wireless networks) is left out of it: every node may read every file of a base directory.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from terrible.errors import HostError
from terrible.storage.images import image as images
from terrible.storage.images.bootconfig import Cmdline, read_cmdline, template, with_gadget
from terrible.storage.images.facts import MARK, mark_of, text_of
from terrible.storage.images.fat import File, Volume
from terrible.storage.images.models import FIRST_STAGE, SET_ASIDE
from terrible.storage.images.versions import version_of
from terrible.tree import RECORD

CMDLINE = "cmdline.txt"
_KEPT_CMDLINE = "cmdline.txt.image"
_LEFT_OUT = frozenset(
    {
        "user-data", "meta-data", "network-config", "vendor-data", "firstrun.sh", "custom.toml", "userconf",
        "userconf.txt", "rpi-preseed.toml", "wpa_supplicant.conf", "ssh", "ssh.txt", MARK,
    }
)  # fmt: skip


def make(path: Path, directory: Path) -> dict[str, Any]:
    """Write the boot partition of the image at `path` to a new `directory`; returns what is recorded of it.

    HostError, and nothing is left behind, for a bad image, a directory that is in use, a full disk.
    """
    directory = Path(os.path.realpath(directory))
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise HostError(f"{directory}: already there, and not empty; name a new directory")
    with _beside(directory) as new, images.opened(path, directory.parent, whole=True) as image:
        try:
            record = _fill(new, image)
            _settle(new, directory, record)
        except OSError as error:
            raise HostError(f"{directory}: {error.strerror}") from error
    return record


@contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A directory that can become this one, gone at the end if it has not."""
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise HostError(f"{directory.parent}: {error.strerror}") from None
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _fill(new: Path, image: images.Image) -> dict[str, Any]:
    volume = image.boot_volume()
    files = {file.path: file for file in volume.walk()}
    kernels = {}
    for file in files.values():
        if _is_left_out(file.path) or (file.path == SET_ASIDE and FIRST_STAGE in files):
            continue
        _extract(volume, file, new / _name(file.path))
        if version := version_of(file.path, volume.content(file)):
            kernels[_name(file.path)] = version.version
    cmdline = read_cmdline(text_of(volume, files, CMDLINE))
    mark = mark_of(text_of(volume, files, MARK))
    root = _root(image, cmdline, prepared=mark is not None)
    _write(new / f"{CMDLINE}.template", template(cmdline, root).encode())
    config = text_of(volume, files, "config.txt")
    (new / "config.txt").unlink(missing_ok=True)
    _write(new / "config.txt", with_gadget(config).encode())
    return {
        "v": 1,
        "image": image.path.name,
        "sha256": image.sha256,
        "size": image.size,
        "root": root,
        "first_boot": list(cmdline.first_boot),
        "versions": kernels,
        "prepared": mark,
    }


def _is_left_out(path: str) -> bool:
    """What may be secret; and what no node is served, but the head might take for a record of its own."""
    return path.lower() in _LEFT_OUT or any(part.startswith(".") for part in path.split("/"))


def _name(path: str) -> str:
    return {CMDLINE: _KEPT_CMDLINE, SET_ASIDE: FIRST_STAGE}.get(path, path)


def _root(image: images.Image, cmdline: Cmdline, *, prepared: bool) -> str:
    """What names the card's root partition for good.

    A stock image gets another disk identifier when it boots for the first time (raspberrypi-sys-mods:
    fix_partuuid, set_partuuid), and PARTUUID= is made of that; one that was prepared keeps its own, and then
    the name also says that it is the card of this image.
    """
    if prepared and cmdline.root is not None:
        return cmdline.root
    root = image.table.root
    if root is None:
        raise HostError(f"{image.path}: it has no Linux partition, so a node would have no root file system")
    return f"/dev/mmcblk0p{root.number}"


def _extract(volume: Volume, file: File, target: Path) -> None:
    if file.is_directory:
        target.mkdir()
        return
    with open(target, "xb") as opened:
        opened.writelines(volume.content(file))


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)


def _settle(new: Path, directory: Path, record: dict[str, Any]) -> None:
    """Let it take its place, for good."""
    _write(new / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    new.chmod(0o755)
    os.sync()
    new.rename(directory)
    parent = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
