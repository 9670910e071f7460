"""What goes wrong when an image is written: with the image, for everybody; or with one card."""

from __future__ import annotations


class ImageError(Exception):
    """The image cannot be read, is not whole, or is not the one that was meant. No card gets its sector 0."""


class CardError(Exception):
    """One card cannot be written or does not keep what was written. The others go on."""


def at(offset: int) -> str:
    """A place on a card or in an image, in words."""
    return f"at byte {offset} ({offset / 1e6:.1f} MB)"
