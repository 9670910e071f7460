"""A node's image from a stock one: `terrible image prepare`. Never in place, and whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from terrible.errors import HostError
from terrible.storage.images import image as images
from terrible.storage.images import nodefiles, stream
from terrible.storage.images.bootconfig import plain, read_cmdline, with_gadget
from terrible.storage.images.extfs import ExtFs
from terrible.storage.images.facts import MARK, init_of, mark_of, text_of
from terrible.storage.images.fatwrite import FatFs
from terrible.storage.images.models import FIRST_STAGE, SET_ASIDE
from terrible.storage.images.owner import META_DATA, Init, Owner, check_in_image, preseed, user_data
from terrible.storage.images.partitions import SECTOR, BadImage, read_table
from terrible.storage.images.programs import find, last_line, run

_GRAIN = 4096
_STATUS, _MOST_STATUS = "/var/lib/dpkg/status", 64 * 1024 * 1024
_ACCOUNTS = ("/etc/passwd", "/etc/group")
_LOCALES = ("/usr/share/i18n/SUPPORTED",)
_MOST_LIST = 1024 * 1024
Say = Callable[[str], None]


def prepare(source: Path, out: Path, owner: Owner, init: Init | None, say: Say) -> dict[str, Any]:
    """Make `out` from the image at `source`; returns what is noted in it. `say` is told of each step.

    HostError, and no `out`, for a bad image, a missing program, an `out` that is already there.
    """
    find("mcopy", "mren", "fsck.fat", "debugfs", "e2fsck")
    if os.path.lexists(out):
        raise HostError(f"{out}: already there; name a new file")
    with _beside(out) as (new, fd):
        with _named(source, new):
            digest = _copy(source, fd, out, say)
            with images.opened(new, out.parent, whole=False) as image:
                mark = _change(image, fd, owner, init, digest, say)
                say("checking")
                _check(fd, image)
        _settle(new, fd, out)
    return mark


@contextmanager
def _named(source: Path, new: Path) -> Iterator[None]:
    """What is wrong with the copy is wrong with the image that people know."""
    try:
        yield
    except BadImage as error:
        raise BadImage(f"{source}: {str(error).removeprefix(f'{new}: ')}") from None


@contextmanager
def _beside(out: Path) -> Iterator[tuple[Path, int]]:
    """A file that can become this one, open for reading and writing, gone at the end if it has not."""
    try:
        fd, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise HostError(f"{out.parent}: {error.strerror}") from None
    try:
        yield Path(name), fd
    finally:
        os.close(fd)
        Path(name).unlink(missing_ok=True)


def _copy(source: Path, new: int, out: Path, say: Say) -> str:
    """The image, unpacked, with holes for zeros; returns the hash of what was copied."""
    digest, end = hashlib.sha256(), 0
    fd = stream.opened(source)
    try:
        with stream.pieces(fd) as pieces:
            for piece in pieces:
                if not end:
                    read_table(piece[:SECTOR])  # what is no image is not copied first
                    say("copying")
                digest.update(piece)
                _write(new, piece, end)
                end += len(piece)
        os.ftruncate(new, end)
    except OSError as error:
        raise HostError(f"{out}: {error.strerror}, copying {source}") from error
    finally:
        os.close(fd)
    return digest.hexdigest()


def _write(new: int, piece: bytes, at: int) -> None:
    for start in range(0, len(piece), _GRAIN):
        grain = piece[start : start + _GRAIN]
        if grain.count(0) < len(grain):
            os.pwrite(new, grain, at + start)


def _change(
    image: images.Image, fd: int, owner: Owner, init: Init | None, digest: str, say: Say
) -> dict[str, Any]:
    root = image.table.root
    if root is None:
        raise BadImage("it has no Linux partition")
    system, boot = ExtFs(fd, root.start), FatFs(fd, image.table.boot)
    system.check_clean()
    volume = image.boot_volume()
    texts = {file.path: file for file in volume.walk() if not file.is_directory}
    if mark_of(text_of(volume, texts, MARK)) is not None:
        raise BadImage("it has been prepared already; take the stock image")
    cmdline = read_cmdline(text_of(volume, texts, "cmdline.txt"))
    chosen = init or init_of(texts, cmdline)
    if chosen is None:
        raise BadImage(f"nothing in it tells its format of first boot; say --init, one of {', '.join(Init)}")
    check_in_image(owner, *(_lines(system, *paths) for paths in (_ACCOUNTS, _LOCALES)))
    say(f"making it a node's, told by {chosen}")
    held = _change_root(system, owner, chosen)
    if FIRST_STAGE in texts:
        boot.rename(FIRST_STAGE, SET_ASIDE)
    boot.write("cmdline.txt", plain(cmdline).encode())
    boot.write("config.txt", with_gadget(text_of(volume, texts, "config.txt")).encode())
    for name, content in _told(owner, chosen, has_meta_data="meta-data" in texts).items():
        boot.write(name, content)
    key = {"offset": _one_block(system), "size": nodefiles.HOST_KEY_SIZE}
    mark = {"v": 1, "from": digest, "init": str(chosen), "user": owner.user, "held": held, "host_key": key}
    boot.write(MARK, (json.dumps(mark, indent=1) + "\n").encode())
    return mark


def _lines(system: ExtFs, *paths: str) -> str:
    """What is in these files, nothing of those that are not there."""
    return "\n".join((system.read(path, _MOST_LIST) or b"").decode(errors="replace") for path in paths)


def _told(owner: Owner, init: Init, *, has_meta_data: bool) -> dict[str, bytes]:
    """The files of the boot partition by which the format makes the account."""
    if init is Init.CLOUD_INIT:
        return {"user-data": user_data(owner), **({} if has_meta_data else {"meta-data": META_DATA})}
    return {"rpi-preseed.toml": preseed(owner)} if init is Init.PRESEED else {}


def _change_root(system: ExtFs, owner: Owner, init: Init) -> list[str]:
    """Everything in the root file system; returns the packages that are on hold then."""
    status = system.read(_STATUS, _MOST_STATUS)
    if status is None:
        raise BadImage(f"it has no {_STATUS}, so it is no Raspberry Pi OS; only that can be prepared")
    text, held = nodefiles.hold(status.decode(errors="surrogateescape"))
    if held:
        system.write(_STATUS, text.encode(errors="surrogateescape"))
    script = nodefiles.first_boot(owner if init is Init.SYSTEMD else None)
    for path, (content, mode) in nodefiles.files(owner, script).items():
        system.write(path, content, mode)
    for path, target in nodefiles.links().items():
        system.link(path, target)
    system.remove("/etc/hostname")
    return held


def _one_block(system: ExtFs) -> int:
    """Where the head can write a slot's host key onto the card: the file is one block and stays there."""
    blocks = system.blocks(nodefiles.HOST_KEY)
    if len(blocks) != 1 or system.block_size() < nodefiles.HOST_KEY_SIZE:
        raise BadImage(f"{nodefiles.HOST_KEY} has no block of its own in this file system")
    return blocks[0]


def _check(fd: int, image: images.Image) -> None:
    """HostError unless both file systems are sound."""
    FatFs(fd, image.table.boot).check()
    assert image.table.root is not None
    done = run("e2fsck", "-fn", f"/proc/self/fd/{fd}?offset={image.table.root.start}", fds=(fd,))
    if done.returncode:
        raise BadImage(f"e2fsck finds its Linux partition damaged: {last_line(done.stdout)}")


def _settle(new: Path, fd: int, out: Path) -> None:
    """Let it take its place, for good."""
    try:
        os.fchmod(fd, 0o644)
        os.fsync(fd)
        new.rename(out)
        parent = os.open(out.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise HostError(f"{out}: {error.strerror}") from error
