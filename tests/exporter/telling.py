"""An agent's words as the agent's own code puts them, taken to a tree, and the tree as series."""

from __future__ import annotations

from dataclasses import replace

from terrible.exporter.families import families
from terrible.exporter.tree import Tree
from terrible.model import Event, FileRecord, Info, Phase, Report, StageRecord, Transcript
from terrible.mqtt import payloads
from terrible.mqtt.topics import Topics
from terrible.seams import News
from tests.mqtt.examples import INFO, SLOTS, report

CLUSTER = "rack-1"
Series = dict[tuple[str, ...], float]
"""The name of a sample and its labels' values, in the order of the labels' names."""


def attempt(number: int, outcome: str = "up", started: float = 0.0, **more: object) -> Transcript:
    """The first slot's."""
    stages = [StageRecord("arrival", 0.0), StageRecord("rom", 2.0), StageRecord("loader", 8.0)]
    stages += [StageRecord("starting", 20.0), StageRecord("gadget", 0.0), StageRecord("starting", 7.0)]
    files = [FileRecord("start.elf", 1000, None, "base", 0.1), FileRecord("dt.bin", 0, None, None, 0.1)]
    made = Transcript(
        "node1", number, started or 1000.0 * number, stages if outcome == "up" else stages[:3], files
    )
    return replace(made, outcome=outcome, seconds=30.0 + number, **more)  # type: ignore[arg-type]


class Teller:
    """One cluster's agent."""

    def __init__(self, tree: Tree, cluster: str = CLUSTER, session: str = "s1") -> None:
        self.tree, self.session, self.topics = tree, session, Topics(cluster)

    def online(self, online: bool = True) -> None:
        said = payloads.status(online, self.topics)
        self.tree.take(said.topic, said.payload)

    def tell(self, *news: News) -> None:
        for one in news:
            own = replace(one, session=self.session) if isinstance(one, Info) else one
            for said in payloads.publications(own, self.topics, self.session, 5.0):
                self.tree.take(said.topic, said.payload)

    def starts(self, *reports: Report) -> None:
        """As after a connect: the whole tree."""
        self.online()
        self.tell(INFO, *(reports or [report(slot) for slot in SLOTS]))

    def attempted(self, transcript: Transcript) -> None:
        """It has just ended: the transcript, and the event that is told once."""
        event = Event(SLOTS[0], transcript.outcome, transcript.diagnosis, {"seconds": transcript.seconds})
        self.tell(transcript, event)

    def clear(self, topic: str) -> None:
        self.tree.take(f"{self.topics.base}/{topic}", b"")


def started() -> tuple[Tree, Teller]:
    """A tree that has heard an agent come, with four nodes up."""
    tree = Tree()
    teller = Teller(tree)
    teller.starts()
    return tree, teller


def power(on: bool | None) -> Report:
    """The first slot's port has power, or not, or nobody knows."""
    return replace(report(SLOTS[0], Phase.WAITING), power=on)


def series(tree: Tree, connected: bool = True) -> Series:
    """Every sample of a scrape."""
    samples = [sample for metric in families(tree, connected) for sample in metric.samples]
    return {(s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for s in samples}


def of(tree: Tree, name: str, *labels: str) -> list[float]:
    """The values of the samples of this name whose first labels are these."""
    wanted = (name, *labels)
    return [value for key, value in series(tree).items() if key[: len(wanted)] == wanted]
