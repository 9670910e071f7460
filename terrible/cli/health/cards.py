"""Whether each card and the boot files of its slot are of one image: kernel and modules must match."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from terrible.cli.health.configuration import remembered
from terrible.cli.health.finding import Finding, Level
from terrible.config import Config
from terrible.model import Code, Slot
from terrible.state import State
from terrible.storage.bootdir import RECORD


def findings(config: Config) -> Iterator[Finding]:
    """Of the slots whose cards this head has written."""
    where = config.files.mass_storage
    if where is not None and not any(where.glob("bootcode*.bin")):
        said = f"{where}: no bootcode*.bin there"
        yield Finding(
            Level.WARNING,
            "card",
            said,
            "files.mass_storage is the firmware that shows a card (docs/flash.md)",
        )
    state = remembered(config)
    for slot in config.named_slots():
        yield from _card(config, state, slot)


def _card(config: Config, state: State, slot: Slot) -> Iterator[Finding]:
    if state.latch(slot.name) == Code.DIRTY_CARD:
        said = f"{slot.name}: its card was not written to the end, so that it is not booted"
        yield Finding(Level.WARNING, "card", said, f"terrible flash IMAGE {slot.name}")
        return
    flashed = state.flashed(slot.name)
    if flashed is None:
        return
    tree = _tree(config.files.directory, slot)
    if tree is None:
        yield Finding(
            Level.NOTE, "card", f"{slot.name}: {flashed.get('image')}; its boot files are of no known image"
        )
    elif tree.get("sha256") == flashed.get("sha256"):
        yield Finding(Level.OK, "card", f"{slot.name}: {flashed.get('image')}, and its boot files are of it")
    else:
        said = (
            f"{slot.name}: {flashed.get('image')} is on its card, its boot files are of {tree.get('image')}"
        )
        yield Finding(
            Level.WARNING, "card", said, "kernel and modules must match: terrible image boot IMAGE DIR"
        )


def _tree(base: Path, slot: Slot) -> dict[str, Any] | None:
    """Which image the boot files of a slot are of: its own, else everybody's."""
    for directory in (base / slot.name, base / slot.location, base):
        try:
            record = json.loads((directory / RECORD).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict):
            return record
    return None
