"""Whether each card and the boot files of its slot are of one image: kernel and modules must match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from terrible.cli.health import files
from terrible.cli.health.configuration import remembered
from terrible.cli.health.finding import Finding, Level
from terrible.config import Config
from terrible.errors import Code, HostError
from terrible.model import Slot
from terrible.state import State
from terrible.usb.layers import Layers


def findings(config: Config) -> Iterator[Finding]:
    """Of the slots whose cards this head has written."""
    try:
        layers = Layers(files.roots(config), config.named_slots())
    except HostError:
        return  # `files` says it
    state = remembered(config)
    for slot in config.named_slots():
        yield from _card(config, layers, state, slot)


def _card(config: Config, layers: Layers, state: State, slot: Slot) -> Iterator[Finding]:
    if state.latch(slot.name) == Code.DIRTY_CARD:
        said = f"{slot.name}: its card was not written to the end, so that it is not booted"
        yield Finding(Level.WARNING, "card", said, f"terrible flash IMAGE {slot.name}")
        return
    flashed = state.flashed(slot.name)
    if flashed is None:
        return
    sha256, what = state.image_on_card(slot.name), f"{slot.name}: {flashed.get('image')}"
    origin = layers.origin(replace(slot, tree=layers.tree(sha256)))
    if origin is None:
        yield Finding(Level.NOTE, "card", f"{what}; its boot files are of no known image")
    elif origin.get("sha256") == sha256:
        yield Finding(Level.OK, "card", f"{what}, and its boot files are of it")
    else:
        said = f"{what} is on its card, its boot files are of {origin.get('image')}"
        remedy = f"kernel and modules must match: terrible image boot IMAGE {config.files.directory}/NAME"
        yield Finding(Level.WARNING, "card", said, remedy)
