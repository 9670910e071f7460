"""What both ways of switching several ports as one have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from terrible.errors import PowerError
from terrible.model import Location


@contextmanager
def naming(one: Location, asked: Location) -> Iterator[None]:
    """Say of which port a failure is, where it is not the one that was asked for."""
    try:
        yield
    except PowerError as error:
        if one == asked:
            raise
        raise PowerError(f"{one}, which is switched with {asked}: {error}") from error
