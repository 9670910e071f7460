"""Whether every slot has what it boots from: the first file of all, and templates that can be filled in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from terrible.cli import settings
from terrible.cli.health.finding import Finding, Level, failed
from terrible.config import Config
from terrible.errors import BootError, Code, HostError
from terrible.model import Location, Slot
from terrible.usb.bootfiles import BootFiles
from terrible.usb.identify import BOOTCODE
from terrible.usb.layers import Roots
from terrible.usb.templates import check_content, templates_below

_PUT = "put boot files there, as for rpiboot (docs/boot-files.md), for the agent's user to read"
_ANY = Location("1-1")
"""Where a Pi may sit when nothing is configured; its layers are everybody's."""


def findings(config: Config) -> Iterator[Finding]:
    """What a slot could not boot of."""
    try:
        files = BootFiles(roots(config), config.named_slots(), config.cluster)
    except HostError as error:
        yield failed("files", error)
        return
    yield from _templates(roots(config))
    yield from asyncio.run(bootcode(files, slots(config)))


def roots(config: Config) -> Roots:
    """Where boot files are looked for; without slots, nobody knows whose own directories count."""
    where = config.files
    return Roots(where.directory, where.firmware, where.profiles, overlay=config.configured)


def slots(config: Config) -> list[Slot]:
    """The configured slots, else one that stands for any Pi."""
    return config.named_slots() or [replace(settings.newcomers(config)(_ANY), name="any-pi")]


def _templates(where: Roots) -> Iterator[Finding]:
    """One finding for each thing that is wrong, or one for all templates."""
    count = 0
    wrong: list[Finding] = []
    for path in templates_below(*where.directories()):
        count += 1
        wrong += _wrong(path)
    yield from wrong
    if not wrong:
        yield Finding(
            Level.OK, "template", f"{count or 'no'} template{'' if count == 1 else 's'}, nothing wrong"
        )


def _wrong(path: Path) -> Iterator[Finding]:
    """What keeps a template from being served."""
    try:
        problems = check_content(path.read_bytes())
    except OSError as error:
        problems = [f"cannot be read: {error.strerror}"]
    for problem in problems:
        remedy = "correct that line; docs/boot-files.md lists the variables"
        yield Finding(Level.ERROR, "template", f"{path}: {problem}", remedy)
    if os.path.lexists(plain := path.with_suffix("")):
        said = f"{path} is never served: {plain.name} beside it is"
        yield Finding(
            Level.WARNING, "template", said, f"remove {plain}, as an image brings it, or the template"
        )


async def bootcode(files: BootFiles, of: Sequence[Slot]) -> list[Finding]:
    """The first-stage file of each slot, or why it has none; slots that get the same share a line."""
    groups: dict[Finding, list[str]] = {}
    for slot in of:
        for finding in await _resolved(files, slot):
            groups.setdefault(finding, []).append(slot.name)
    return [replace(one, said=f"{', '.join(names)}: {one.said}") for one, names in groups.items()]


async def _resolved(files: BootFiles, slot: Slot) -> list[Finding]:
    """Which Pi will sit there nobody knows before it does; the bootcode of one chip must be found."""
    found: list[str] = []
    missing: list[str] = []
    wrong: list[str] = []
    for chip in BOOTCODE:
        try:
            file, _ = await files.bootcode(slot, chip)
            found.append(f"{file.name} from {file.layer}")
        except BootError as error:
            (missing if error.problem.code is Code.MISSING_FILE else wrong).append(str(error))
    problems = wrong if found or wrong else missing[:1]
    said = [Finding(Level.ERROR, "bootcode", problem, _PUT) for problem in problems]
    return [Finding(Level.OK, "bootcode", ", ".join(found)), *said] if found else said
