"""Whether cards could be written here: the firmware that shows them, images, programs, terrible-disk."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from terrible import lock
from terrible.cli import settings
from terrible.cli.health import files
from terrible.cli.health.finding import Finding, Level
from terrible.config import Config
from terrible.errors import HostError
from terrible.peers import Refused, check_owner
from terrible.storage.images import packing

ANSWER = 1.0
"""Seconds for terrible-disk to take a connection."""


def findings(config: Config, path: Path | None) -> Iterator[Finding]:
    """Nothing where no card is to be written. `path` is the configuration's."""
    if config.files.mass_storage is None or not config.configured:
        return
    if path is not None:
        yield from _trusted(path)
    yield from _firmware(config)
    yield from _images(config.files.images)
    yield from _programs()
    if os.geteuid() != 0:  # root starts one of its own
        yield from _helper(lock.directory() / "disk.sock")


def _trusted(path: Path) -> Iterator[Finding]:
    """Where the slots are is read by terrible-disk, which is root."""
    try:
        check_owner(path.stat(), path)
    except Refused as refused:
        remedy = f"sudo chown root {path} && sudo chmod go-w {path}"
        yield Finding(Level.WARNING, "card", f"{refused}, or terrible-disk opens no card", remedy)


def _firmware(config: Config) -> Iterator[Finding]:
    slots = config.named_slots()
    try:
        firmware = settings.firmware_for_cards(config, slots)
    except HostError:
        return  # `files` says it
    assert firmware is not None
    for found in asyncio.run(files.bootcode(firmware, slots)):
        if found.level is Level.OK:
            yield Finding(Level.OK, "card", f"{found.said} of {config.files.mass_storage} shows it")
        else:
            remedy = "files.mass_storage is the firmware that shows a card (docs/flash.md)"
            yield Finding(Level.WARNING, "card", found.said, remedy)


def _images(directory: Path) -> Iterator[Finding]:
    try:
        os.listdir(directory)
    except OSError as error:
        said = f"{directory}: {error.strerror}; only what lies there can be flashed over MQTT"
        yield Finding(Level.WARNING, "card", said, f"sudo mkdir -p {directory}, for the agent's user to read")


def _programs() -> Iterator[Finding]:
    for kind in packing.MAGIC.values():
        try:
            packing.command(kind, packing.AMPLE)
        except HostError as error:
            said, _, remedy = str(error).partition("; ")
            yield Finding(Level.NOTE, "card", f"{said}, so no image packed as .{kind} can be flashed", remedy)


def _helper(path: Path) -> Iterator[Finding]:
    """Whoever runs this is not root, and may open no disk."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER)
            connection.connect(str(path))
    except OSError as error:
        said = f"no terrible-disk at {path}: {error.strerror or error}; without it no card is written"
        remedy = "sudo systemctl enable --now terrible-disk.socket (packaging/README.md)"
        yield Finding(Level.WARNING, "card", said, remedy)
