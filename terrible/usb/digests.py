"""The sha256 of boot files, worked out beside the loop and once for each version of a file.

A Zero hashes some 15 MB in a second: nodes that wait for a file must not wait for its hash, and the next
boot must not pay for it again, though the bytes themselves may have been forgotten by then.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections import OrderedDict
from collections.abc import Hashable

REMEMBERED = 1024
"""Versions of files; a boot asks for some forty."""


class Digest:
    """A hash that is known, or will be."""

    def __init__(self, value: str | asyncio.Future[str]) -> None:
        self._value = value

    @property
    def known(self) -> str | None:
        """The hash as hexadecimal digits, None while it is being worked out."""
        if isinstance(self._value, str):
            return self._value
        return self._value.result() if self._value.done() and not self._value.cancelled() else None

    async def wait(self) -> None:
        """Return once it is known."""
        if not isinstance(self._value, str):
            await asyncio.shield(self._value)


class Digests:
    """Hashes by whatever tells one content from another."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, str] = OrderedDict()

    def of(self, key: Hashable, data: bytes | bytearray) -> Digest:
        """The hash of large `data`: from memory, or from a thread that works on it from now on.

        A key of None is no content's: its hash is not remembered.
        """
        if key in self._known:
            self._known.move_to_end(key)
            return Digest(self._known[key])
        hashing = asyncio.get_running_loop().run_in_executor(None, sha256, data)
        hashing.add_done_callback(functools.partial(self._remember, key))
        return Digest(hashing)

    def _remember(self, key: Hashable, hashing: asyncio.Future[str]) -> None:
        if hashing.cancelled() or hashing.exception() or key is None:
            return
        self._known[key] = hashing.result()
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def sha256(data: bytes | bytearray) -> str:
    """The hash of some bytes as transcripts show it."""
    return hashlib.sha256(data).hexdigest()
