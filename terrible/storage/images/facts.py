"""What there is to know of an image before it is written to a card: `terrible image inspect`."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrible.errors import HostError
from terrible.storage.images import models
from terrible.storage.images.bootconfig import Cmdline, read_cmdline
from terrible.storage.images.extfs import ExtFs
from terrible.storage.images.fat import File, Volume
from terrible.storage.images.image import Image, opened
from terrible.storage.images.owner import Init
from terrible.storage.images.packing import AMPLE
from terrible.storage.images.partitions import BadImage, TooMuch
from terrible.storage.images.versions import Version, version_of

log = logging.getLogger(__name__)

MARK = "terrible.json"
"""In the boot partition of an image that `terrible image prepare` has made: how."""
_LARGEST_TEXT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Facts:
    """`os` is its name, "" where unknown; `why_no_os` says what would tell it. `mark` is prepare's own."""

    volume: str
    cmdline: Cmdline
    init: Init | None
    os: str
    issue: str
    modules: list[str]
    versions: list[Version]
    boots: list[str]
    lacks: dict[str, list[str]]
    card_first: bool
    why_no_os: str = ""
    mark: dict[str, Any] | None = None
    names: frozenset[str] = field(default_factory=frozenset, repr=False)


def known(path: Path, spill: Path) -> Facts | None:
    """The facts of an image that is about to be written, None where it is no Pi's: that is written, too.

    HostError where this machine cannot tell, as with no room in `spill`: it may be one that gets a host key.
    """
    try:
        with opened(path, spill, whole=False, memory=AMPLE) as image:
            return facts_of(image)
    except TooMuch:
        raise
    except BadImage as error:
        log.info("%s: %s", path.name, error)
        return None
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from error


def facts_of(image: Image) -> Facts:
    """Look through an image. BadImage for one that no Pi could boot from."""
    volume = image.boot_volume()
    files = {file.path: file for file in volume.walk() if not file.is_directory}
    versions = [version_of(name, volume.content(file)) for name, file in sorted(files.items())]
    cmdline = read_cmdline(text_of(volume, files, "cmdline.txt"))
    name, modules, why = _root(image)
    served = {name.removesuffix(".usb") if name == models.SET_ASIDE else name for name in files}
    return Facts(
        volume=volume.kind,
        cmdline=cmdline,
        init=init_of(files, cmdline),
        os=name,
        issue=text_of(volume, files, "issue.txt").partition("\n")[0].strip(),
        modules=modules,
        versions=[version for version in versions if version is not None],
        boots=models.boots(served),
        lacks=models.lacks(served),
        card_first=models.FIRST_STAGE in files,
        why_no_os=why,
        mark=mark_of(text_of(volume, files, MARK)),
        names=frozenset(files),
    )


def init_of(names: Collection[str], cmdline: Cmdline) -> Init | None:
    """The format that the files of a boot partition speak for, None where nothing does.

    rpi-imager takes it from its list of images; in the image itself are these traces only.
    """
    if "rpi-preseed.toml" in names:
        return Init.PRESEED
    if "user-data" in names:
        return Init.CLOUD_INIT
    if cmdline.first_boot or "firstrun.sh" in names or "issue.txt" in names:
        return Init.SYSTEMD
    return None


def text_of(volume: Volume, files: dict[str, File], name: str) -> str:
    """A small text file of the boot partition, "" where there is none."""
    if name not in files:
        return ""
    if files[name].size > _LARGEST_TEXT:
        raise BadImage(f"its {name} has {files[name].size} bytes; that is no text")
    return b"".join(volume.content(files[name])).decode(errors="replace")


def mark_of(text: str) -> dict[str, Any] | None:
    """What `prepare` has noted, None in any other image."""
    try:
        mark = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return mark if isinstance(mark, dict) and mark.get("v") == 1 else None


def _root(image: Image) -> tuple[str, list[str], str]:
    """The name of the system, the kernels it has modules for, and why these are not known."""
    root = image.table.root
    if root is None:
        return "", [], "it has no Linux partition"
    if image.packed:
        return "", [], "it is packed; unpacked, its Linux partition would tell"
    system = ExtFs(image.fd, root.start)
    try:
        release = system.read("/usr/lib/os-release", _LARGEST_TEXT) or b""
        modules = system.names("/usr/lib/modules")
    except HostError as error:
        return "", [], str(error)
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', release.decode(errors="replace"), re.MULTILINE)
    return (match[1], modules, "") if match else ("", modules, "its /usr/lib/os-release does not say")
