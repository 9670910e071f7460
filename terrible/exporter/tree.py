"""All clusters of a broker, folded from messages alone, whoever brings them. [pure]

Gauges come from what the agent that is there says now; counters from what was heard to change since the
exporter's start. A stranger's nonsense changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from terrible.exporter import reasons
from terrible.exporter.durations import Durations, passed
from terrible.exporter.heard import Boot, Happening, Introduction, Standing, read
from terrible.exporter.ledger import Ledger
from terrible.mqtt.topics import Kind, Topics, is_name

LISTENED = (Kind.STATUS, Kind.INFO, Kind.STATE, Kind.BOOT, Kind.EVENT)
"""The kinds of topics that are understood."""
OUTCOMES = ("up", "disk", "failed", "left", "stopped", "other")
MOST_CLUSTERS = 1000
MOST_NODES = 500
"""Of one cluster; a USB bus has 127 addresses. Whoever publishes more names is no agent."""


@dataclass(slots=True)
class Node:
    """One slot: what it last said, and what was counted of it."""

    standing: Standing | None = None
    ledger: Ledger = field(default_factory=Ledger)
    outcomes: Counter[str] = field(default_factory=Counter)
    served: int = 0
    power_cycles: int = 0
    _power: bool | None = None

    def stands(self, standing: Standing) -> None:
        """It says this now. Power that nobody knows of is taken to be as it was."""
        self.power_cycles += self._power is False and standing.power is True
        self._power = self._power if standing.power is None else standing.power
        self.standing = standing


@dataclass(slots=True)
class Cluster:
    """One head. `online` is None where no agent was heard of."""

    online: bool | None = None
    info: Introduction | None = None
    introduced: bool = False
    nodes: dict[str, Node] = field(default_factory=dict)
    stages: defaultdict[str, Durations] = field(default_factory=lambda: defaultdict(Durations))
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def present(self) -> Introduction | None:
        """The agent, if one is online that has said who it is."""
        return self.info if self.online and self.introduced else None

    def standings(self) -> dict[str, Standing]:
        """How each slot stands, as the agent that is there says; not what one before it has left behind."""
        session = self.present.session if self.present else None
        nodes = self.nodes.items()
        return {name: n.standing for name, n in nodes if n.standing and n.standing.session == session}

    def take(self, kind: Kind, name: str, payload: bytes) -> None:
        """Take in one message; `name` is the slot's, if it is of one."""
        match kind:
            case Kind.STATUS if payload in (b"online", b"offline"):
                self.online = payload == b"online"
                self.introduced = self.introduced and self.online
            case Kind.INFO if info := read(Introduction, payload):
                self._introduce(info)
            case Kind.STATE if not payload:  # the agent has cleared it: the slot is gone
                self.nodes.pop(name, None)
            case Kind.STATE if (standing := read(Standing, payload)) and (node := self._node(name)):
                node.stands(standing)
            case Kind.BOOT if (boot := read(Boot, payload)) and (node := self._node(name)):
                if node.ledger.is_news(boot):
                    self._count(node, boot)
            case Kind.EVENT if (happened := read(Happening, payload)) and (node := self.nodes.get(name)):
                if proven := node.ledger.proven(happened):
                    self._count(node, proven)

    def _node(self, name: str) -> Node | None:
        if name not in self.nodes and len(self.nodes) < MOST_NODES:
            self.nodes[name] = Node()
        return self.nodes.get(name)

    def _introduce(self, info: Introduction) -> None:
        """An agent keeps its slots for life; those that the next one does not name are gone."""
        if self.info is not None and self.info.session != info.session:
            named = {slot.name for slot in info.slots}
            self.nodes = {name: node for name, node in self.nodes.items() if name in named}
        self.info, self.introduced = info, True

    def _count(self, node: Node, boot: Boot) -> None:
        node.outcomes[boot.outcome if boot.outcome in OUTCOMES else "other"] += 1
        node.served += sum(file.size for file in boot.files)
        if boot.outcome == "failed":
            reasons.count(self.failures, boot.diagnosis)
        for stage, seconds in passed(boot).items():
            self.stages[stage].add(seconds)


class Tree:
    """Everything below `terrible`."""

    def __init__(self) -> None:
        self.clusters: dict[str, Cluster] = {}

    def take(self, topic: str, payload: bytes) -> None:
        """Take in one message."""
        name = topic.split("/")[1] if topic.count("/") > 1 else ""
        match Topics(name).parse(topic):
            case (Kind.STATUS, _) if not payload:
                self.clusters.pop(name, None)
            case (kind, names) if kind in LISTENED and (cluster := self._cluster(name, bool(payload))):
                cluster.take(kind, names[0] if names else "", payload)

    def expect(self, name: str) -> None:
        """A cluster that was asked for is there, if only to be said to be away."""
        self.clusters.setdefault(name, Cluster(online=False))

    def cut(self) -> None:
        """There is no broker: whether there are agents, nobody knows."""
        for cluster in self.clusters.values():
            cluster.introduced = False
            cluster.online = None if cluster.online is None else False

    def _cluster(self, name: str, says_something: bool) -> Cluster | None:
        """It; an empty message clears a topic, and makes no cluster."""
        is_one = says_something and is_name(name)
        if is_one and name not in self.clusters and len(self.clusters) < MOST_CLUSTERS:
            self.clusters[name] = Cluster()
        return self.clusters.get(name)
