"""Files in the helper's own directory on tmpfs: whole or not at all, readable by everybody."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from terrible.net import atomic
from terrible.net.plan import RUN

APPLIED = RUN / "applied.json"


def write(path: Path, text: str) -> bool:
    """Write it if it says something else; whether it did."""
    try:
        if path.read_bytes() == text.encode():
            return False
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o755, exist_ok=True)
    atomic.replace(path, text)
    return True


@dataclass(frozen=True, slots=True)
class Applied:
    """What a helper sets up: written before it begins, removed after all of it is taken down."""

    bridge: str
    mac: str
    subnet: str
    forward_chain: str


def remember(what: Applied) -> None:
    """From now on `down` knows what to look for."""
    write(APPLIED, json.dumps(asdict(what)))


def applied() -> Applied | None:
    """What the last helper has set up and not taken down, None if nothing."""
    try:
        return Applied(**json.loads(APPLIED.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def forget() -> None:
    """All of it is taken down: nothing of what was written is of use any more."""
    for path in RUN.glob("*"):
        if path.name != "lock":
            path.unlink(missing_ok=True)
