"""Rounds of the rig: all boot the same four Pis, one after the other, and are compared within a round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import bootfiles, boots, writers
from bench.boots import Outcome
from bench.lab import Lab
from bench.table import Row
from bench.writers import AS_WE_DO, SYNCHRONOUS, WRITERS, Written

TINY = "/files-tiny"


@dataclass(frozen=True)
class Round:
    """The agent with 1-byte files and with real ones, both once again; the peer; the bare writers."""

    tiny: Outcome
    ours: Outcome
    again: tuple[Outcome, Outcome]
    npm: Outcome
    bare: Mapping[writers.Writer, Written]

    @property
    def rate(self) -> float:
        """The fastest writer's, MB/s."""
        return max(written.rate for written in self.bare.values())

    @property
    def bound(self) -> float:
        """No server can be faster: what a boot takes apart from its bytes, and the bytes at full rate."""
        return self.tiny.makespan + self.ours.megabytes / self.rate

    @property
    def per_megabyte(self) -> float:
        """The agent's CPU milliseconds for one more MB: less what four boots of 1-byte files cost."""
        return 1000 * (self.ours.cpu - self.tiny.cpu) / self.ours.megabytes

    @property
    def per_known_megabyte(self) -> float:
        """The same in the next boot, whose files have been read and hashed already."""
        tiny, ours = self.again
        return 1000 * (ours.cpu - tiny.cpu) / ours.megabytes


async def play(lab: Lab, megabytes: int, rounds: int) -> list[Round]:
    """Every other round backwards, so that a machine that grows busier is nobody's advantage."""
    files = bootfiles.sized(megabytes * 1_000_000)
    directory = f"/files-{megabytes}"
    await lab.files(directory, files)
    played = []
    for number in range(rounds):
        played.append(await _round(lab, directory, files, backwards=number % 2 == 1))
        print(f"round {number + 1} of {rounds}, 4 x {megabytes} MB", flush=True)
    await lab.head.run(["rm", "-r", directory])
    return played


async def _round(lab: Lab, directory: str, files: Mapping[str, bytes], *, backwards: bool) -> Round:
    agent, npm, none = boots.agent(directory), boots.npm(directory), boots.agent(TINY)
    turns = [(none, bootfiles.tiny(), 2), (agent, files, 2), (npm, files, 1)]
    done = {
        who: await boots.again(lab, who, served, times)
        for who, served, times in turns[:: -1 if backwards else 1]
    }
    (tiny, tiny_again), (ours, ours_again) = done[none], done[agent]
    return Round(tiny, ours, (tiny_again, ours_again), done[npm][0], await writers.measure(lab))


def light(rounds: Sequence[Round]) -> list[Row]:
    """4 x 18 MB: all the goals."""
    ratio = _ratios(rounds)
    return [
        ratio("makespan / bound", lambda r: r.ours.makespan / r.bound, 1.1),
        ratio("makespan / npm", lambda r: r.ours.makespan / r.npm.makespan, 1.0),
        ratio("CPU after start / npm", lambda r: r.ours.cpu / r.npm.cpu, 0.7),
        ratio("peak memory / npm", lambda r: r.ours.peak / r.npm.peak, 0.4),
        *_processor(ratio),
        *_seconds(rounds),
    ]


def heavy(rounds: Sequence[Round]) -> list[Row]:
    """4 x 60 MB: makespans have a goal."""
    ratio = _ratios(rounds)
    return [
        ratio("makespan / bound", lambda r: r.ours.makespan / r.bound, 1.1),
        ratio("makespan / npm", lambda r: r.ours.makespan / r.npm.makespan, 1.0),
        ratio("CPU after start / npm", lambda r: r.ours.cpu / r.npm.cpu),
        ratio("peak memory / npm", lambda r: r.ours.peak / r.npm.peak),
        *_seconds(rounds),
    ]


def _processor(ratio: Callable[..., Row]) -> list[Row]:
    def against(writer: writers.Writer) -> list[Row]:
        return [
            ratio(f"CPU per MB / {writer}", lambda r: r.per_megabyte / r.bare[writer].cpu, 1.5),
            ratio(f"same, known files / {writer}", lambda r: r.per_known_megabyte / r.bare[writer].cpu, 1.5),
        ]

    return against(SYNCHRONOUS) + against(AS_WE_DO)


def _ratios(rounds: Sequence[Round]) -> Callable[..., Row]:
    def ratio(what: str, of: Callable[[Round], float], goal: float | None = None) -> Row:
        return Row(what, [of(one) for one in rounds], "", goal)

    return ratio


def _seconds(rounds: Sequence[Round]) -> list[Row]:
    """What the ratios are made of."""
    rows = [Row("bound", [one.bound for one in rounds], "s")]
    for name, outcomes in (
        ("agent, 1-byte files", [one.tiny for one in rounds]),
        ("agent", [one.ours for one in rounds]),
        ("npm", [one.npm for one in rounds]),
    ):
        rows.append(Row(f"{name}: makespan", [o.makespan for o in outcomes], "s"))
        rows.append(Row(f"{name}: CPU after start", [o.cpu for o in outcomes], "s"))
        rows.append(Row(f"{name}: peak memory", [o.peak for o in outcomes], "MB"))
    rows.append(Row("agent: CPU per MB", [one.per_megabyte for one in rounds], "ms/MB"))
    rows.append(Row("same, known files", [one.per_known_megabyte for one in rounds], "ms/MB"))
    for writer in WRITERS:
        rows.append(Row(f"bare {writer}", [one.bare[writer].rate for one in rounds], "MB/s"))
        rows.append(Row(f"bare {writer}: CPU per MB", [one.bare[writer].cpu for one in rounds], "ms/MB"))
    return rows
