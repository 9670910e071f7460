"""What lies beside an image's file: its bmap and its digest, by the names that people give them.

`X.img.xz` has its bmap in `X.bmap` (bmap-tools), `X.img.bmap` or `X.img.xz.bmap`, and its digest in
`X.img.xz.sha256` (Raspberry Pi) or `X.img.sha256`, a line as sha256sum writes it.
"""

from __future__ import annotations

import re
from pathlib import Path

from terrible.storage.faults import ImageError

PACKED = frozenset({".xz", ".gz", ".zst"})
_LONGEST = 1 << 20
"""Bytes of a file of digests that are read: some 10,000 lines."""
_LINE = re.compile(r"([0-9a-fA-F]{64})(?: [ *](.+))?")


def bmap_of(image: Path) -> Path | None:
    """The bmap beside it, if any."""
    return next((path for path in _names(image, "bmap") if path.is_file()), None)


def digest_of(image: Path) -> str | None:
    """The digest beside it in hex, of the file as it is or of the image in it; ImageError if it is none."""
    path = next((path for path in _names(image, "sha256") if path.is_file()), None)
    return None if path is None else _told(path, image)


def _names(image: Path, suffix: str) -> list[Path]:
    bare = image.with_suffix("") if image.suffix in PACKED else image
    names = [image.name, bare.name, bare.with_suffix("").name]
    return [image.with_name(f"{name}.{suffix}") for name in dict.fromkeys(names)]


def _told(path: Path, image: Path) -> str:
    """Of several lines the one that names the image, packed or not; a single one may name nothing."""
    try:
        with path.open(errors="replace") as file:
            lines = file.read(_LONGEST).splitlines()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    found = [match for line in lines if (match := _LINE.fullmatch(line.strip()))]
    named = {Path(match[2]).name: match[1].lower() for match in found if match[2]}
    for name in (image.name, image.stem):
        if name in named:
            return named[name]
    if len(found) == 1 and not named:
        return found[0][1].lower()
    others = f", but of {', '.join(sorted(named)[:3])}" if named else ""
    line = "a line of it is 64 hexadecimal digits, two spaces and the name"
    raise ImageError(f"{path.name} tells no sha256 of {image.name}{others}; {line}")
