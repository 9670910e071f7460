"""What a pass has shown of the image: where data and zeros are, with the digest up to each piece.

The digest runs over the data in order and is noted behind every piece, so that a card that is read back
differs at a place and not only in the end. A bmap's ranges begin a new one, and say what it must be. The
digest of the whole image is another one, for zeros and what is unmapped are in it, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from terrible.storage.faults import ImageError, at
from terrible.storage.images.partitions import reach
from terrible.storage.writing.bmap import Bmap
from terrible.storage.writing.pieces import Kind, Piece
from terrible.storage.writing.pool import CHUNK, ZEROS


@dataclass(frozen=True, slots=True)
class Extent:
    """Data with the digest up to its end, which begins `anew` with it or goes on; or zeros without one."""

    offset: int
    length: int
    digest: bytes | None = None
    anew: bool = False


@dataclass(slots=True)
class Layout:
    """The image as it was read. `sha256` is that of all of it, `kind` that of the extents' digests.

    `reach` are the bytes that its partition table needs.
    """

    extents: list[Extent] = field(default_factory=list)
    size: int = 0
    sha256: str = ""
    kind: str = "sha256"
    reach: int = 0


class Whole:
    """The digest of the whole image, whatever its pieces mean."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def take(self, piece: Piece) -> None:
        """The next piece."""
        if piece.buffer:
            self.sha256.update(piece.view)
            return
        for left in range(piece.length, 0, -CHUNK):
            self.sha256.update(memoryview(ZEROS)[: min(left, CHUNK)])


class Digests:
    """Makes the layout, piece by piece; ImageError behind the first range that is not as the bmap says.

    `whole` is another thread's: what is hashed twice takes no longer than hashing it once.
    """

    def __init__(self, bmap: Bmap | None) -> None:
        self.whole = Whole()
        self._layout = Layout(kind=(bmap.kind if bmap else "") or "sha256")
        self._ranges = list(bmap.ranges) if bmap else []
        self._ranges.reverse()
        self._data = hashlib.new(self._layout.kind)

    def takers(self) -> dict[str, Callable[[Piece], None]]:
        """What must be shown each piece, by name, each in a thread of its own."""
        return {"layout": self.take, "image": self.whole.take}

    def take(self, piece: Piece) -> None:
        """The next piece. It never lies in two ranges."""
        if not piece.offset and piece.buffer:
            self._layout.reach = reach(piece.view[:1024])
        if piece.kind is Kind.DATA:
            self._take_data(piece)
        elif piece.kind is Kind.ZERO:
            self._take_zeros(piece)
        self._layout.size = piece.end

    def _take_data(self, piece: Piece) -> None:
        known = self._ranges[-1] if self._ranges else None
        anew = known is not None and known.start == piece.offset
        if anew:
            self._data = hashlib.new(self._layout.kind)
        self._data.update(piece.view)
        digest = self._data.copy().digest()
        self._layout.extents.append(Extent(piece.offset, piece.length, digest, anew))
        if known and piece.end == known.end:
            self._ranges.pop()
            if known.digest and known.digest != digest.hex():
                raise ImageError(f"the image is not the one of the bmap: it differs {at(known.start)}")

    def _take_zeros(self, piece: Piece) -> None:
        last = self._layout.extents[-1] if self._layout.extents else None
        if last and last.digest is None and last.offset + last.length == piece.offset:
            self._layout.extents[-1] = Extent(last.offset, last.length + piece.length)
        else:
            self._layout.extents.append(Extent(piece.offset, piece.length))

    def finish(self) -> Layout:
        """All of it."""
        self._layout.sha256 = self.whole.sha256.hexdigest()
        return self._layout
