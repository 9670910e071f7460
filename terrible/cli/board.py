"""What a person sees of a cluster: its slots as rows, made of what its agent has told by MQTT. [pure]"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from terrible.mqtt.topics import Kind
from terrible.remote.heard import Advance, Boot, Standing, Trouble
from terrible.remote.tree import Tree

LISTENED = (Kind.STATUS, Kind.INFO, Kind.BOOT, Kind.STATE, Kind.PROGRESS)
"""The kinds of topics that a Board understands; brokers tell what they retain in this order."""

SHARE = {"rom": 0.05, "loading": 0.1, "starting": 0.8, "up": 1.0, "lost": 1.0, "disk": 1.0}
"""Where a phase begins on the bar; loading moves from its own place to the next by bytes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One slot. `share` of 1 is how much of its boot, or of what is done with its card, is done.

    `doing` is what is done with its card, else its phase; `stale` what an agent that has gone said.
    """

    name: str
    location: str
    phase: str
    doing: str
    share: float
    note: str
    since: float
    seconds: float | None
    stale: bool


class Board:
    """The slots of one cluster, or those of them that are `chosen`, in the agent's order.

    `total` is about how many bytes a boot sends, for the bars, until a transcript tells.
    """

    def __init__(self, cluster: str, total: int = 0) -> None:
        self.tree = Tree(cluster)
        self.chosen: Collection[str] | None = None
        self.failures: Counter[str] = Counter()
        self._total = total
        self._lines: dict[str, tuple[str, Trouble | None]] = {}

    def take(self, topic: str, payload: bytes) -> str | None:
        """Take in one message; returns a line where the agent has come or gone, or a slot changed phase."""
        said = self.tree.said
        name, heard = self.tree.take(topic, payload)
        if self.tree.said != said:
            return f"agent of {self.tree.topics.cluster} {'online' if self.tree.said else 'offline'}"
        if isinstance(heard, Boot):
            self.failures[name] += heard.outcome == "failed"
        if not isinstance(heard, Standing) or not self._is_news(name, heard):
            return None
        note = _note(heard)
        return f"{name} {heard.phase}" + (f": {note}" if note else "")

    @property
    def filters(self) -> list[str]:
        """What to subscribe to for it."""
        return [self.tree.topics.every(kind) for kind in LISTENED]

    @property
    def rows(self) -> list[Row]:
        """A row for each slot of which there is a state."""
        tree = self.tree
        told = [(name, tree.standings[name]) for name in tree.names if name in tree.standings]
        return [self._row(name, now) for name, now in told if self._shows(name)]

    @property
    def up(self) -> int:
        """How many slots are up."""
        return sum(row.phase == "up" and not row.stale for row in self.rows)

    @property
    def recovered(self) -> int:
        """How many of them failed before."""
        return sum(row.phase == "up" and self.failures[row.name] > 0 for row in self.rows)

    def complete(self, nodes: int) -> bool:
        """Whether so many slots are up, each with the record of how it got there."""
        return self.up == nodes and all(row.seconds is not None for row in self.rows)

    def headline(self) -> str:
        """The cluster in one line."""
        tree = self.tree
        if tree.info is None:
            return f"{tree.topics.cluster}: {_agent(tree)}"
        who = f"{tree.topics.cluster} on {tree.info.host}"
        if not tree.online:
            return f"{who}: {_agent(tree)}; this is what it said last"
        trouble = f"; {tree.info.problem.message}" if tree.info.problem else ""
        return f"{who}: {self.up} of {len(tree.names)} up{trouble}"

    def _is_news(self, name: str, now: Standing) -> bool:
        """Whether it is worth a line: retained states come again with every connect."""
        before, self._lines[name] = self._lines.get(name), (now.phase, now.problem)
        return self._shows(name) and before != self._lines[name]

    def _shows(self, name: str) -> bool:
        return self.chosen is None or name in self.chosen

    def _row(self, name: str, now: Standing) -> Row:
        boot = self.tree.boots.get(name)
        seconds = boot.seconds if boot is not None and boot.outcome == "up" else None
        advance = self.tree.advances.get(name)
        note = _note(now)
        if now.phase == "up" and not now.problem and seconds is not None:
            note = f"{note}  {seconds:.1f} s".lstrip()
        if now.phase == "loading" and not note and advance is not None:
            note = f"{advance.sent / 1e6:.1f} MB  {advance.file}"
        share, doing = self._share(now.phase, advance), now.phase
        if now.phase == "flashing" and not note and advance is not None:
            note, doing = _card(advance), advance.file
        stale = self.tree.standing(name) is None
        return Row(name, now.location, now.phase, doing, share, note, now.since, seconds, stale)

    def _share(self, phase: str, advance: Advance | None) -> float:
        begin, total = SHARE.get(phase, 0.0), self._whole()
        if advance is not None and phase == "flashing" and advance.total:
            return min(1.0, advance.sent / advance.total)
        if advance is not None and phase == "loading" and total:
            return begin + (SHARE["starting"] - begin) * min(1.0, advance.sent / total)
        return begin

    def _whole(self) -> int:
        """About how many bytes a boot sends, as one that came up did."""
        sizes = [boot.size for boot in self.tree.boots.values() if boot.outcome == "up"]
        return max(sizes, default=0) or self._total


def _agent(tree: Tree) -> str:
    match tree.said:
        case None:
            return "nothing heard of an agent"
        case True:
            return "agent online"
        case False:
            return "agent offline"


def _card(advance: Advance) -> str:
    """How far a card is, how fast, and how long it will take."""
    size, unit, digits = (1e9, "GB", 1) if max(advance.sent, advance.total or 0) >= 1e9 else (1e6, "MB", 0)
    of = f"/{advance.total / size:.{digits}f}" if advance.total else ""
    rate = f"  {advance.rate / 1e6:.0f} MB/s" if advance.rate else ""
    left = f"  {int(advance.left) // 60}:{int(advance.left) % 60:02} left" if advance.left is not None else ""
    return f"{advance.sent / size:.{digits}f}{of} {unit}{rate}{left}"


def _note(now: Standing) -> str:
    return now.problem.message if now.problem else ", ".join(now.addresses)
