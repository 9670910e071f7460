"""Which boot files there are, layer by layer, and which versions: firmware is the commonest culprit."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from terrible.cli.health import files
from terrible.cli.health.finding import Finding, Level
from terrible.config import Config
from terrible.errors import HostError
from terrible.usb import jail
from terrible.usb.archive import read_index
from terrible.usb.identify import BOOTCODE
from terrible.usb.layers import ARCHIVE, Directory, Layers, why_absent

_TOLD = re.compile(
    r"(?i)(bootcode.*\.bin|start.*\.elf|fixup.*\.dat|config\.txt|cmdline\.txt|kernel.*)(\.template)?"
)
_PIECE = 1 << 20


def findings(config: Config) -> Iterator[Finding]:
    """A line for each file that decides how a Pi boots."""
    try:
        layers = Layers(files.roots(config), config.named_slots())
    except HostError:
        return  # `files` says it
    told = False
    for label, path in _directories(config, layers).items():
        for finding in _listed(label, path):
            told = True
            yield finding
    archive = config.files.directory / ARCHIVE
    if os.path.isfile(archive):  # Path.is_file raises where the directory is closed to us
        told = True
        yield from _members(archive)
    if not told:
        yield Finding(Level.NOTE, "file", f"no boot files in {config.files.directory}")


def _directories(config: Config, layers: Layers) -> dict[str, Path]:
    """Every directory that is a layer of some slot, in the order in which they are looked in."""
    return {
        layer.label: layer.path
        for slot in files.slots(config)
        for chip, name in BOOTCODE.items()
        for layer in layers.of(slot, chip, name)
        if isinstance(layer, Directory)
    }


def _listed(label: str, path: Path) -> Iterator[Finding]:
    try:
        names = sorted(name for name in os.listdir(path) if _TOLD.fullmatch(name))
        root = jail.open_directory(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        remedy = "let the agent's user read it"
        yield Finding(Level.ERROR, "file", f"{path} cannot be read: {error.strerror}", remedy)
        return
    try:
        for name in names:
            yield _file(root, name, f"{label}/{name}")
    finally:
        os.close(root)


def _file(root: int, name: str, where: str) -> Finding:
    """As a node would get it: what it would not get is no boot file."""
    try:
        with os.fdopen(jail.open_file(root, name), "rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        if (why := why_absent(error)) is None:
            said = f"{where} cannot be read: {error.strerror}"
            return Finding(Level.ERROR, "file", said, "let the agent's user read it")
        said = f"{where} is missing to nodes: {why or error.strerror}"
        return Finding(Level.WARNING, "file", said, "put the file itself there, or a link that stays inside")
    if size == 0:
        return Finding(Level.NOTE, "file", f"{where} is empty: it hides those of the layers below")
    return _line(where, size, digest)


def _members(archive: Path) -> Iterator[Finding]:
    try:
        index = read_index(archive)
    except OSError as error:
        said = f"{archive} cannot be read: {error.strerror}"
        yield Finding(Level.ERROR, "file", said, "let the agent's user read it")
        return
    if index.problem:
        said = f"{archive} is no usable tar archive: {index.problem}"
        yield Finding(Level.ERROR, "file", said, "copy it again, or remove it")
    with archive.open("rb") as file:
        for name, (offset, size) in sorted(index.members.items()):
            if _TOLD.fullmatch(name.rpartition("/")[2]):
                yield _line(f"{ARCHIVE}:{name}", size, _part(file.fileno(), offset, size))


def _part(fd: int, offset: int, size: int) -> str:
    digest = hashlib.sha256()
    for start in range(offset, offset + size, _PIECE):
        digest.update(os.pread(fd, min(_PIECE, offset + size - start), start))
    return digest.hexdigest()


def _line(where: str, size: int, digest: str) -> Finding:
    return Finding(Level.OK, "file", f"{where:<26} {size:>9}  {digest}")
