"""Which bytes answer a node's request for a file: found in a layer, or missing, and where it was looked for.

What a node asks for is hostile until it is found: no name raises, leads out of a layer or reads another
slot's file. An empty file is missing on the wire (usbboot main.c:889-916), so it hides the layers below.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from terrible.errors import BootError, Code
from terrible.model import Slot
from terrible.usb import templates
from terrible.usb.cache import Cache, Content, Version
from terrible.usb.digests import Digest, sha256
from terrible.usb.identify import BOOTCODE
from terrible.usb.layers import Layer, Layers, Roots, clean, why_absent
from terrible.usb.rpiboot import LARGE

_SIGNATURES = {"2710": ("bootcode.sig", "bootcode.bin.sig")}
"""Only the oldest chips take a signature in the header (main.c:157, 326)."""
_SIGNATURE_SIZE = 20
_REMEMBERED = 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file for a node, as it was at one moment. `layer` is where it was found, for people to read."""

    name: str
    content: bytes | bytearray
    digest: Digest
    layer: str
    shared: Content | None = field(default=None, repr=False, compare=False)
    """Held so that others who ask meanwhile get the same bytes, also where the cache cannot keep them."""


@dataclass(frozen=True, slots=True)
class Missing:
    """No file for a node. `looked_in` are the layers in order; an empty file in `hidden_by` ended it."""

    name: str
    looked_in: tuple[str, ...]
    hidden_by: str | None

    @property
    def content(self) -> bytes:
        """Nothing, as it goes over the wire."""
        return b""


class BootFiles:
    """The files of all slots."""

    def __init__(self, roots: Roots, slots: Sequence[Slot], cluster: str = "") -> None:
        self._roots = roots
        self._layers = Layers(roots, slots)
        self._cluster = cluster
        self._cache = Cache()
        self._warned: set[Version | None] = set()

    def tree(self, image: str) -> str:
        """The boot tree of an image (its sha256) in the base directory; "" where none is, or that itself."""
        return self._layers.tree(image)

    def other_image(self, slot: Slot, image: str) -> str:
        """The name of the image that this slot's boot files are of, if that is known and is not this one."""
        origin = self._layers.origin(slot) or {}
        other = origin.get("sha256", image) != image
        return str(origin.get("image", "another image")) if other else ""

    async def find(self, slot: Slot, chip: str, name: str) -> Found | Missing:
        """The file as this slot sees it.

        Raises BootError for a bad template and for what is there but cannot be read: to go on with the
        layers below would boot the node with files that are meant for others.
        """
        cleaned = clean(name)
        if cleaned is None:
            return Missing(name, (), None)
        found, _ = await self._search(slot, name, cleaned, self._layers.of(slot, chip, cleaned))
        return found

    async def bootcode(self, slot: Slot, chip: str) -> tuple[Found, bytes | None]:
        """The first-stage file of a chip and its signature, None where unsigned; BootError without it."""
        name = BOOTCODE[chip]
        found, layer = await self._search(slot, name, name, self._layers.of(slot, chip, name))
        if isinstance(found, Missing):
            raise BootError(self._why_missing(found), Code.MISSING_FILE)
        for beside in _SIGNATURES.get(chip, ()):
            signature, _ = await self._search(slot, beside, beside, layer)
            if isinstance(signature, Found):
                return found, _first_bytes(signature)
        return found, None

    async def _search(
        self, slot: Slot, asked: str, name: str, layers: Sequence[Layer]
    ) -> tuple[Found | Missing, Sequence[Layer]]:
        """The first match, and the layer it was in as layers to search."""
        looked_in: list[str] = []
        for layer in layers:
            found = await self._read(slot, layer, asked, name)
            if isinstance(found, str):
                looked_in.append(f"{layer.label} ({found})" if found else layer.label)
            elif found.content:
                return found, [layer]
            else:
                return Missing(asked, (*looked_in, layer.label), layer.label), []
        return Missing(asked, tuple(looked_in), None), []

    async def _read(self, slot: Slot, layer: Layer, asked: str, name: str) -> Found | str:
        """The file of this name in one layer, or what is special about its absence."""
        special = ""
        for candidate in _candidates(name):
            where = f"{layer.label}/{candidate}"
            try:
                content = await layer.read(self._cache, candidate)
            except (OSError, MemoryError) as error:
                special = special or _excuse(error, where)
                continue
            self._warn_if_large(content, where)
            if not candidate.endswith(templates.SUFFIX):
                return Found(asked, content.data, content.digest, layer.label, content)
            text = templates.render(content.data, slot, self._cluster, where)
            return Found(asked, text, Digest(sha256(text)), layer.label)
        return special

    def _warn_if_large(self, content: Content, where: str) -> None:
        if len(content.data) <= LARGE or content.version in self._warned:
            return
        if len(self._warned) >= _REMEMBERED:
            self._warned.clear()
        self._warned.add(content.version)
        _log.warning(
            "boot file %s has %d MiB; old boot loaders fail above %d MiB",
            where,
            len(content.data) >> 20,
            LARGE >> 20,
        )

    def _why_missing(self, missing: Missing) -> str:
        if missing.hidden_by:
            return f"{missing.name} is missing: an empty file in {missing.hidden_by} hides it"
        places = ", ".join(missing.looked_in)
        return f"{missing.name} is missing: no layer has it (looked in {places}; base is {self._roots.base})"


def _candidates(name: str) -> Iterator[str]:
    yield name
    if not name.endswith(templates.SUFFIX):
        yield name + templates.SUFFIX


def _excuse(error: OSError | MemoryError, where: str) -> str:
    """What to say of a file that is not there; BootError if it is there but cannot be read."""
    if isinstance(error, MemoryError):
        raise BootError(f"{where} does not fit into memory") from error
    special = why_absent(error)
    if special is None:
        raise BootError(f"{where} cannot be read: {error.strerror}") from error
    return special


def _first_bytes(found: Found) -> bytes:
    if len(found.content) < _SIGNATURE_SIZE:
        where = f"{found.layer}/{found.name}"
        raise BootError(f"{where} has {len(found.content)} bytes; a signature has {_SIGNATURE_SIZE}")
    return bytes(found.content[:_SIGNATURE_SIZE])


__all__ = ["BootFiles", "Found", "Missing", "Roots"]
