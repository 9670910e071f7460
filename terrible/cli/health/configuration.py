"""Whether the configuration can be used, and what it makes of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from terrible.cli import settings
from terrible.cli.health.finding import Finding, Level
from terrible.config import Config
from terrible.configfile import ConfigError, load
from terrible.state import State

UNITS_FILE = Path("/etc/terrible/terrible.toml")
"""What the units of packaging/ name."""
_REMEDY = "correct it; docs/configuration.md lists every key"


def findings(path: Path | None) -> Iterator[Finding]:
    """Everything wrong with it, a line each, else what it says."""
    try:
        config = load(path)
        settings.broker_address(config)
    except ConfigError as error:
        for line in str(error).splitlines():
            yield Finding(Level.ERROR, "config", line, _REMEDY)
        return
    yield Finding(Level.OK, "config", f"{path or 'no file'}: {_summary(config)}")
    if path is None and UNITS_FILE.exists():
        yield Finding(Level.NOTE, "config", f"{UNITS_FILE} is there: --config {UNITS_FILE} looks at it")
    if config.configured:
        yield _memory(config.state_directory)


def _summary(config: Config) -> str:
    slots = config.named_slots()
    if not slots:
        return f"cluster {config.cluster}, serves any Pi, switches no power"
    places = ", ".join(f"{slot.name} at {slot.location}" for slot in slots)
    return f"cluster {config.cluster}, {places}"


def remembered(config: Config) -> State:
    """What the agent remembers of ports. A damaged file is left for the agent to set aside."""
    file = config.state_directory / "state.json"
    return State(file if _sound(file) else None)


def _sound(file: Path) -> bool:
    try:
        match json.loads(file.read_text()):
            case {"off": list()}:
                return True
    except (OSError, ValueError, RecursionError):
        pass
    return False


def _memory(directory: Path) -> Finding:
    """The agent makes the directory itself where its parent lets it."""
    file = directory / "state.json"
    if os.path.exists(file) and not _sound(file):  # Path.exists raises where the directory is closed to us
        said = f"{file} cannot be read: wishes and latches in it are forgotten at the next start"
        return Finding(Level.WARNING, "state", said, "let the agent's user read it, or remove it")
    there = next(place for place in (directory, *directory.parents) if os.path.exists(place))
    if os.access(there, os.W_OK):
        return Finding(Level.OK, "state", f"{directory} can be written")
    said = f"{there} cannot be written: wishes and latches are forgotten when the agent stops"
    return Finding(Level.WARNING, "state", said, f"give {directory} to the agent's user, or free its disk")
