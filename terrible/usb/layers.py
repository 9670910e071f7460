"""Where boot files are looked for: the layers of one slot, first match wins, and what no layer may show."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from terrible import tree
from terrible.errors import HostError
from terrible.model import Slot
from terrible.usb import jail
from terrible.usb.archive import Archive
from terrible.usb.cache import Cache, Content
from terrible.usb.identify import BOOTCODE, CHIPS

ARCHIVE = "bootfiles.bin"
_PROFILES = "profiles"
_FIRMWARE = re.compile(r"(bootcode[^/]*\.bin|start[^/]*\.elf|fixup[^/]*\.dat)")
_LONGEST = 255
"""A request has room for 256 bytes with the NUL."""
_PLACE = re.compile(r"p?\d+-\d+([.-]\d+)*")
"""A USB location, or the name of a slot without configuration: 1-1.2 and p1-1-2."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The directories of boot files. `overlay` false leaves out the slots' own, as rpiboot without -o."""

    base: Path
    firmware: Path | None = None
    profiles: Path | None = None
    overlay: bool = True

    def directories(self) -> tuple[Path, ...]:
        """All of them, for whoever wants to look through every layer."""
        return tuple(path for path in (self.base, self.profiles, self.firmware) if path)

    def profile(self, name: str) -> Path:
        """The directory of a profile."""
        return (self.profiles or self.base / _PROFILES) / name


class Layer(Protocol):
    """One place to look in; `label` is how people read of it."""

    @property
    def label(self) -> str:
        """As the transcript says it: `node1`, `profile lab`, `base`, …"""

    async def read(self, cache: Cache, name: str) -> Content:
        """The content of a file; OSError where there is none, with a number of jail.ABSENT."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A layer that is a directory; the directory itself may be a link, nothing below leads out of it."""

    label: str
    path: Path

    async def read(self, cache: Cache, name: str) -> Content:
        root = jail.open_directory(self.path)
        try:
            fd = jail.open_file(root, name)
        finally:
            os.close(root)
        return await cache.read(fd)


@dataclass(frozen=True, slots=True)
class Members:
    """A layer that is one chip's part of the archive."""

    label: str
    archive: Archive
    chip: str

    async def read(self, cache: Cache, name: str) -> Content:
        return await self.archive.read(cache, f"{self.chip}/{name}")


class Layers:
    """The layers of every slot."""

    def __init__(self, roots: Roots, slots: Sequence[Slot]) -> None:
        self._roots = roots
        self._archive = Archive(roots.base / ARCHIVE)
        private = (_PROFILES, *_first_below(roots.base, roots.profiles), *(slot.name for slot in slots))
        self._private = frozenset(name.lower() for name in private)
        _check_names(slots)

    def of(self, slot: Slot, chip: str, name: str) -> list[Layer]:
        """Where to look for this file, in order; only in the slot's own layers if others must not show it."""
        own = self._own(slot) if self._roots.overlay else []
        return own if self._is_private(name) else own + self._shared(slot, chip, name)

    def tree(self, sha256: str) -> str:
        """The directory in the base directory that is the boot tree of this image; "" where none need be."""
        base = self._roots.base
        if not sha256 or _sha256(base) == sha256:
            return ""
        names = sorted(path.name for path in base.glob("[!.]*/") if not self._is_private(path.name))
        return next((name for name in names if _sha256(base / name) == sha256), "")

    def origin(self, slot: Slot) -> Mapping[str, Any] | None:
        """What is recorded of the image that this slot's boot files are of; None where nothing is."""
        places = (*((slot.name, slot.location) if self._roots.overlay else ()), slot.tree)
        records = (tree.image_of(self._roots.base / place) for place in places)
        return next((record for record in records if record is not None), None)

    def _own(self, slot: Slot) -> list[Layer]:
        return [Directory(name, self._roots.base / name) for name in (slot.name, slot.location)]

    def _shared(self, slot: Slot, chip: str, name: str) -> list[Layer]:
        layers: list[Layer] = []
        if slot.profile:
            layers.append(Directory(f"profile {slot.profile}", self._roots.profile(slot.profile)))
        if self._roots.firmware and _FIRMWARE.fullmatch(name):
            layers.append(Directory("firmware", self._roots.firmware))
        layers.append(Directory(chip, self._roots.base / chip))
        if slot.tree:
            layers.append(Directory(f"tree {slot.tree}", self._roots.base / slot.tree))
        if not slot.tree or name in BOOTCODE.values():  # no image has those of a Pi 4 or 5
            layers.append(Directory("base", self._roots.base))
        layers.append(Members(ARCHIVE, self._archive, chip))
        return layers

    def _is_private(self, name: str) -> bool:
        """Whether the name leads into what belongs to one slot or one profile.

        FAT, which boot files often lie on, ignores case and dots and spaces at the end, and has a second,
        short name with a tilde for every long one.
        """
        first = name.partition("/")[0].lower().rstrip(". ")
        return "~" in first or first in self._private or _PLACE.fullmatch(first) is not None


def clean(name: str) -> str | None:
    """The name without needless parts, or None for one that no layer may be asked for."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    hostile = not name.isascii() or not name.isprintable() or len(name) > _LONGEST or _is_hidden(parts)
    return None if hostile or not parts or name[0] == "/" or name[-1] == "/" else "/".join(parts)


def _is_hidden(parts: Sequence[str]) -> bool:
    """Whether it leads up, or to what the head keeps for itself: no boot file begins with a dot."""
    return any(part.startswith(".") for part in parts)


def why_absent(error: OSError) -> str | None:
    """What a person should know of a miss, "" for a plain one; None for what is no miss."""
    if error.errno not in jail.ABSENT:
        return None
    return {
        errno.EXDEV: "a link that leads out",
        errno.ELOOP: "a link to itself",
        errno.EISDIR: "no regular file",
        errno.ENXIO: "no regular file",
    }.get(error.errno, "")


def _sha256(directory: Path) -> object:
    return (tree.image_of(directory) or {}).get("sha256")


def _first_below(base: Path, other: Path | None) -> tuple[str, ...]:
    """The name in `base` through which `other` is reached, if it lies there."""
    return other.relative_to(base).parts[:1] if other and other.is_relative_to(base) else ()


def _check_names(slots: Sequence[Slot]) -> None:
    """Raise HostError for a slot's name that means another directory than the slot's own."""
    taken = {*CHIPS.values(), _PROFILES, *(slot.location for slot in slots)}
    for slot in slots:
        if slot.name in taken - {slot.location}:
            raise HostError(f"no slot can be named {slot.name}: another directory of boot files is")
