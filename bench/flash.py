"""Writing cards: four against one, and against `dd` and `bmaptool`, on loop devices; needs root.

Cards and image are in memory. Where a card is slow, the kernel's block throttling makes it so, for
all who use it and for the kernel's own writing back. Where it is not, processor and memory are what
limits, the worst case for whoever hashes. What others wrote is dropped from the cache before `cmp` reads.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from bench.table import Row, show
from tests.storage.cards import MB, Card, blank

_AS_INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""What pip installs is compiled, and so is bmaptool."""
THROTTLE = Path("/sys/fs/cgroup/blkio")
"""cgroup v1, whose root group is everybody."""


@dataclass(frozen=True)
class Cost:
    """Seconds until all is written, seconds until all is verified, CPU seconds and peak memory in MB."""

    written: float
    seconds: float
    cpu: float
    peak: float


def image(directory: Path, megabytes: int) -> Path:
    """A sparse image with a bmap beside it: data in runs of 1 to 16 MB, as much again in holes."""
    chance = random.Random(1)
    path = directory / "card.img"
    with path.open("wb") as file:
        offset = 0
        while offset < megabytes:
            length = min(chance.randint(1, 16), megabytes - offset)
            file.seek(offset * MB)
            if offset == 0 or chance.random() < 0.5:
                file.write(chance.randbytes(length * MB))
            offset += length
        file.truncate(megabytes * MB)
    bmap = subprocess.run(["bmaptool", "create", path], check=True, capture_output=True).stdout
    path.with_suffix(".bmap").write_bytes(bmap)
    return path


def ours(path: Path, cards: Sequence[Card]) -> Cost:
    """The worker; `written` is when the last card's reading back begins, or a little before."""
    began = monotonic()
    argv = [sys.executable, "-m", "terrible.storage.writing.worker"]
    pipe, fds = subprocess.PIPE, [card.fd for card in cards]
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, pass_fds=fds, env=_AS_INSTALLED)
    asked = [{"slot": card.slot, "fd": card.fd, "size": card.size} for card in cards]
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps({"image": str(path), "cards": asked}).encode() + b"\n")
    process.stdin.flush()
    events = [json.loads(line) for line in process.stdout]
    later = [
        event["stages"]["verifying"] + event["stages"]["finishing"]
        for event in events
        if event["event"] == "card"
    ]
    cpu, peak = _ended(process)
    process.stdin.close()
    process.stdout.close()
    seconds = monotonic() - began
    return Cost(seconds - min(later), seconds, cpu, peak)


def others(*commands: Sequence[str]) -> Cost:
    """Commands side by side."""
    began = monotonic()
    null = subprocess.DEVNULL
    started = [subprocess.Popen(argv, stdout=null, stderr=null) for argv in commands]
    costs = [_ended(process) for process in started]
    seconds = monotonic() - began
    return Cost(seconds, seconds, sum(cpu for cpu, _ in costs), sum(peak for _, peak in costs))


def _ended(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """CPU seconds of it and its children, and its peak in MB."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    assert not status, process.args
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def bmaptool(path: Path, card: Card) -> list[str]:
    bmap = path.with_name("card.bmap")
    return ["bmaptool", "copy", "--bmap", str(bmap), str(path), card.node]


def dd(path: Path, card: Card) -> list[str]:
    return ["dd", f"if={path}", f"of={card.node}", "bs=1M", "conv=fsync"]


def compared(path: Path, card: Card) -> list[str]:
    """Bmaptool's copy, and then the card against the image."""
    compare = ["cmp", "-n", str(path.stat().st_size), str(path), card.node]
    steps = [bmaptool(path, card), ["blockdev", "--flushbufs", card.node], compare]
    return ["sh", "-ec", "; ".join(shlex.join(step) for step in steps)]


@contextmanager
def cards(number: int, size: int, rate: int | None = None) -> Iterator[list[Card]]:
    """New cards, each with this many bytes a second for reading and for writing."""
    with ExitStack() as stack:
        made = [stack.enter_context(blank(f"node{n}", size)) for n in range(number)]
        for card in made if rate else ():
            device = os.fstat(card.fd).st_rdev
            for way in ("read", "write"):
                file = THROTTLE / f"blkio.throttle.{way}_bps_device"
                file.write_text(f"{os.major(device)}:{os.minor(device)} {rate}")
                stack.callback(file.write_text, f"{os.major(device)}:{os.minor(device)} 0")
        yield made


def settle() -> None:
    """Wait for half a second in which the processor idles; 20 s at most, if others compute all the time."""
    end = monotonic() + 20
    while monotonic() < end:
        before = _idle()
        sleep(0.5)
        if _idle() - before > 0.45 * (os.cpu_count() or 1):
            return


def _idle() -> float:
    """Seconds that all cores have idled since the start."""
    return float(Path("/proc/uptime").read_text().split()[1])


Run = Callable[[list[Card]], Cost]


def play(
    runs: Mapping[str, tuple[int, Run]], size: int, rate: int | None, rounds: int
) -> dict[str, list[Cost]]:
    """All of them in every round, in an order by chance, each on new cards."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, (wanted, run) in random.sample(list(runs.items()), len(runs)):
            settle()
            with cards(wanted, size, rate) as made:
                costs[name].append(run(made))
        print(f"round {number + 1} of {rounds}", flush=True)
    return costs


def side_by_side(path: Path) -> dict[str, tuple[int, Run]]:
    """What is compared, with the cards each needs."""

    def we(made: list[Card]) -> Cost:
        return ours(path, made)

    def they(command: Callable[[Path, Card], list[str]]) -> Run:
        return lambda made: others(*(command(path, _let_go(card)) for card in made))

    return {
        "one": (1, we),
        "four": (4, we),
        "bmaptool": (1, they(bmaptool)),
        "bmaptool + cmp": (1, they(compared)),
        "four bmaptool": (4, they(bmaptool)),
        "dd": (1, they(dd)),
        "hashed": (0, lambda _: others(["openssl", "dgst", "-sha256", str(path)])),
    }


def _let_go(card: Card) -> Card:
    """Bmaptool wants the card for itself, as we do."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, card.fd)
    os.close(null)
    return card


def rows(costs: Mapping[str, Sequence[Cost]], gigabytes: float, *, throttled: bool) -> list[Row]:
    """The goals of both; four against one only where each card is the limit."""

    def ratio(what: str, of: Callable[..., float], over: str, under: str, goal: float | None) -> Row:
        pairs = zip(costs[over], costs[under], strict=True)
        return Row(what, [of(one) / two.seconds for one, two in pairs], "", goal)

    written, verified = (lambda cost: cost.written), (lambda cost: cost.seconds)
    return [
        ratio("four cards / one, verified", verified, "four", "one", 1.15 if throttled else None),
        ratio("one written / dd", written, "one", "dd", 1.0),
        ratio("one written / bmaptool", written, "one", "bmaptool", 1.0),
        ratio("image hashed by openssl, nothing written / bmaptool", written, "hashed", "bmaptool", None),
        ratio("one verified / bmaptool + cmp", verified, "one", "bmaptool + cmp", 1.0),
        ratio("four written / four bmaptool", written, "four", "four bmaptool", None if throttled else 0.8),
        Row("CPU per GB, one card, verified", [cost.cpu / gigabytes for cost in costs["one"]], "s/GB"),
        Row("CPU per GB, four cards, verified", [cost.cpu / gigabytes for cost in costs["four"]], "s/GB"),
        Row("CPU per GB, bmaptool", [cost.cpu / gigabytes for cost in costs["bmaptool"]], "s/GB"),
        Row("peak memory, four cards", [cost.peak for cost in costs["four"]], "MB", 100),
        *(Row(f"{name}, seconds", [cost.seconds for cost in of], "s") for name, of in costs.items()),
        *(Row(f"{name} written, seconds", [c.written for c in costs[name]], "s") for name in ("one", "four")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=60, help="MB/s of a slow card")
    parser.add_argument("--megabytes", type=int, default=1024, help="of the image")
    arguments = parser.parse_args()
    tempfile.tempdir = "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for name, megabytes, rate in (
            ("cards without a limit", arguments.megabytes, None),
            (f"cards of {arguments.rate} MB/s", arguments.megabytes // 2, arguments.rate * MB),
        ):
            path = image(Path(scratch), megabytes)
            gigabytes = path.stat().st_blocks * 512 / 1e9
            costs = play(side_by_side(path), megabytes * MB + 64 * MB, rate, arguments.rounds)
            title = f"An image of {megabytes} MB, {gigabytes * 1e3:.0f} MB of it mapped; {name}"
            show(title, rows(costs, gigabytes, throttled=rate is not None))


if __name__ == "__main__":
    main()
