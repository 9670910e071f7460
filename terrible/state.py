"""What is remembered between two starts: one small file, written atomically and only on change."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from terrible import owned
from terrible.errors import Code
from terrible.model import Verdict

Flashed = dict[str, Any]
"""An image on a card: its name as `image`, and its `sha256` unpacked."""

log = logging.getLogger(__name__)


class State:
    """Wishes, latches and verdicts. A slot that nobody spoke of is wished on, and holds no latch.

    `path` None remembers nothing beyond this process: an agent without a configuration has no state.
    `problem` is one sentence while the file could not be read or cannot be written, else empty;
    `on_problem` is called when it changes, `on_verdict` when a probe has found something new.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.problem = ""
        self._kept = True
        self.on_problem: Callable[[], object] = lambda: None
        self.on_verdict: Callable[[], object] = lambda: None
        held = self._read() if path else {}
        self._off = {name for name in held.get("off", []) if isinstance(name, str)}
        self._latches = _table(held.get("latches"), str)
        self._verdicts = _table(held.get("verdicts"), dict)
        self._flashed: dict[str, Flashed] = _table(held.get("flashed"), dict)
        self._first_boots = _table(held.get("first_boots"), str)
        self._subnet = str(held.get("subnet", ""))

    # -- wishes: what people want ---------------------------------------------------------------------

    def wish(self, name: str) -> bool:
        """Whether this slot is wished on."""
        return name not in self._off

    def wish_all(self, names: Iterable[str], on: bool) -> None:
        """Remember what is wished of these slots."""
        off = self._off - set(names) if on else self._off | set(names)
        if off != self._off:
            self._off = off
            self._write()

    # -- latches: what only a person may clear --------------------------------------------------------

    def latch(self, name: str) -> str | None:
        """The code of the problem that holds this slot off, if one does."""
        return self._latches.get(name)

    def set_latch(self, name: str, code: str | None) -> bool:
        """Hold a slot off, or let it go; whether the next start will know of it."""
        if code != self._latches.get(name) or not self._kept:
            self._latches.pop(name, None)
            if code is not None:
                self._latches[name] = code
            self._write()
        return self._kept

    def release(self, name: str) -> None:
        """Let a slot go. What is on a card that was dirty, nobody knows any more."""
        if self.latch(name) == Code.DIRTY_CARD:
            self._flashed.pop(name, None)
            self._first_boots.pop(name, None)
        self.set_latch(name, None)

    # -- verdicts: what probing a port has shown ------------------------------------------------------

    def verdict(self, location: str) -> Verdict | None:
        """What the last probe of this port found out."""
        return self._verdicts.get(location)

    def set_verdict(self, location: str, verdict: Verdict) -> None:
        """Remember what a probe found out."""
        if dict(verdict) != self._verdicts.get(location):
            self._verdicts[location] = dict(verdict)
            self._write()
            self.on_verdict()

    # -- cards: what a flash has left to do ------------------------------------------------------------

    def flashed(self, name: str) -> Flashed | None:
        """What was last written to the card of this slot, whole."""
        return self._flashed.get(name)

    def image_on_card(self, name: str) -> str:
        """The sha256 of that, empty where nobody knows."""
        return str((self.flashed(name) or {}).get("sha256", ""))

    def set_flashed(self, name: str, what: Flashed) -> None:
        """Its card holds this now."""
        self._flashed[name] = dict(what)
        self._write()

    def first_boot(self, name: str) -> str | None:
        """The words that the next command line gets, where its card has not booted since it was written."""
        return self._first_boots.get(name)

    def set_first_boot(self, name: str, words: str | None) -> None:
        """Its card was written with an image of these words, or None: it has booted."""
        if words != self.first_boot(name):
            self._first_boots = {one: w for one, w in self._first_boots.items() if one != name}
            self._first_boots |= {} if words is None else {name: words}
            self._write()

    # -- the network ----------------------------------------------------------------------------------

    @property
    def subnet(self) -> str:
        """The subnet that the cluster got last, empty if none yet."""
        return self._subnet

    def set_subnet(self, subnet: str) -> None:
        """Remember it: addresses that people have noted must not change with every start."""
        if subnet != self._subnet:
            self._subnet = subnet
            self._write()

    # -- the file ---------------------------------------------------------------------------------------

    def _held(self) -> dict[str, Any]:
        held: dict[str, Any] = {"v": 1, "off": sorted(self._off)}
        if self._flashed:
            held["flashed"] = self._flashed
        if self._first_boots:
            held["first_boots"] = self._first_boots
        if self._latches:
            held["latches"] = self._latches
        if self._verdicts:
            held["verdicts"] = self._verdicts
        if self._subnet:
            held["subnet"] = self._subnet
        return held

    def _write(self) -> None:
        """Whole or not at all; a full disk is said and stops nothing."""
        if self._path is None:
            return
        try:
            _replace(self._path, json.dumps(self._held(), sort_keys=True))
        except OSError as error:
            self._kept = False
            self._complain(f"cannot remember wishes in {self._path}: {error.strerror}")
        else:
            self._kept = True
            self._complain("")

    def _complain(self, problem: str) -> None:
        if problem:
            log.warning(problem)
        if problem != self.problem:
            self.problem = problem
            self.on_problem()

    def _read(self) -> dict[str, Any]:
        assert self._path is not None
        try:
            held = json.loads(self._path.read_text())
            match held:
                case {"off": list()}:
                    return dict(held)
            error: Exception = ValueError("it holds no list of slots that are off")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as failed:
            error = failed
        self._set_aside(self._path, error)
        return {}

    def _set_aside(self, path: Path, why: Exception) -> None:
        """A damaged file is kept for people to look at; where even that fails, it stays where it is."""
        aside = path.with_suffix(".damaged")
        self._complain(f"{path} cannot be read ({why}); it is kept as {aside.name}")
        with contextlib.suppress(OSError):
            path.replace(aside)


def _replace(path: Path, text: str) -> None:
    """The whole text or the old one, also if the power fails: the directory is synced too."""
    draft = path.with_suffix(".draft")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.unlink(missing_ok=True)
        with draft.open("x") as file:  # never through a link: we may be root, and the directory another's
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        owned.give(draft)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _table(found: object, kind: type[Any]) -> dict[str, Any]:
    """The entries of a table that have the right type; another version may have written others."""
    table = found if isinstance(found, dict) else {}
    return {key: value for key, value in table.items() if isinstance(value, kind)}
