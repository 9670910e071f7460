"""A slot's own SSH host key on the card it gets: a patch at the place that a prepared image keeps for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from terrible.storage import hostkeys
from terrible.storage.images import nodefiles
from terrible.storage.images.facts import Facts


@dataclass(frozen=True, slots=True)
class KeyPatch:
    """For one slot's card, at a byte of it: what is in the memory behind `fd`, which no file ever holds."""

    slot: str
    offset: int
    fd: int

    @property
    def job(self) -> dict[str, object]:
        """As the writer is told of it (docs/flash.md); it inherits the descriptor."""
        return {"slot": self.slot, "offset": self.offset, "file": f"/proc/self/fd/{self.fd}"}


@contextmanager
def patches(facts: Facts | None, slots: Sequence[str], keys: Path) -> Iterator[list[KeyPatch]]:
    """A patch for each slot where the image has a place for it, none where it is no prepared one.

    HostError where a key can be neither read nor made.
    """
    with ExitStack() as held:
        offset = _place(facts)
        if offset is None:
            yield []
            return
        made = []
        for slot in slots:
            fd = os.memfd_create(f"host-key-{slot}")
            held.callback(os.close, fd)
            os.write(fd, nodefiles.host_key(hostkeys.ensure(keys, slot).private))
            made.append(KeyPatch(slot, offset, fd))
        yield made


def _place(facts: Facts | None) -> int | None:
    """The byte at which the image keeps place for a key."""
    key = (facts.mark or {}).get("host_key") if facts else None
    offset = key.get("offset") if isinstance(key, dict) else None
    return offset if isinstance(offset, int) and offset > 0 else None
