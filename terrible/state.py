"""What is remembered between two starts: one small file, written atomically and only on change."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)


class State:
    """The wishes of a head's slots. A slot that nobody spoke of is wished on.

    `path` None remembers nothing beyond this process: an agent without a configuration has no state.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._off: set[str] = set(_read(path)) if path else set()

    def wish(self, name: str) -> bool:
        """Whether this slot is wished on."""
        return name not in self._off

    def wish_all(self, names: Iterable[str], on: bool) -> None:
        """Remember what is wished of these slots."""
        off = self._off - set(names) if on else self._off | set(names)
        if off != self._off:
            self._off = off
            self._write()

    def _write(self) -> None:
        """Whole or not at all; a full disk is said and stops nothing."""
        if self._path is None:
            return
        draft = self._path.with_suffix(".draft")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w") as file:
                json.dump({"v": 1, "off": sorted(self._off)}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            log.warning("cannot remember wishes in %s: %s", self._path, error.strerror)
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def _read(path: Path) -> list[str]:
    try:
        match json.loads(path.read_text()):
            case {"off": list(off)}:
                return [name for name in off if isinstance(name, str)]
        error: Exception = ValueError("it holds no list of slots that are off")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as failed:
        error = failed
    _set_aside(path, error)
    return []


def _set_aside(path: Path, why: Exception) -> None:
    """A damaged file is kept for people to look at; where even that fails, it stays where it is."""
    aside = path.with_suffix(".damaged")
    log.warning("%s cannot be read (%s); it is kept as %s", path, why, aside.name)
    with contextlib.suppress(OSError):
        path.replace(aside)
