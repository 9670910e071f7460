"""What the worker is asked to do: a line of JSON from the agent, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrible.storage.faults import ImageError
from terrible.storage.writing.patch import Patch, loaded


@dataclass(frozen=True, slots=True)
class Target:
    """A slot's card: an inherited descriptor, its bytes, and what it gets that the others do not."""

    slot: str
    fd: int
    size: int
    patches: tuple[Patch, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """`image` is a path, or `fd` a descriptor to read it from. `memory` in bytes.

    `mark` is that of the file which was looked at before, where one was (`source`).
    """

    image: str
    fd: int | None
    digest: str | None
    bmap: str | None
    targets: tuple[Target, ...]
    memory: int
    mark: tuple[int, ...] | None


def parse(line: str) -> Job:
    """The job in this line; ImageError for a line that is none, and for patches that cannot be read."""
    try:
        asked: Mapping[str, Any] = json.loads(line)
        patches: dict[str, list[Patch]] = {str(card["slot"]): [] for card in asked["cards"]}
        for patch in asked.get("patches") or ():
            patches[patch["slot"]].append(loaded(int(patch["offset"]), Path(patch["file"])))
        targets = tuple(
            Target(card["slot"], int(card["fd"]), int(card["size"]), tuple(patches[card["slot"]]))
            for card in asked["cards"]
        )
        digest = str(asked["sha256"]).lower() if asked.get("sha256") else None
        fd = int(asked["image_fd"]) if asked["image"] == "-" else None
        memory = int(asked.get("memory") or 64 << 20)
        mark = tuple(map(int, asked["mark"])) if asked.get("mark") else None
        job = Job(str(asked["image"]), fd, digest, asked.get("bmap"), targets, memory, mark)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ImageError(f"the worker was asked for something it does not understand: {error!r}") from error
    if not targets or len(patches) != len(targets):
        raise ImageError("the worker was asked for no cards, or for two of one slot")
    return job
