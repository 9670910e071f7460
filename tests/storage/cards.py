"""Cards for the worker: loop devices, over sparse files or over a `Medium`, and the worker itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import fuse
from .medium import Medium

MB = 1 << 20


@dataclass
class Card:
    """A block device that nobody else has open."""

    slot: str
    fd: int
    size: int
    node: str = ""

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """What is on it, not in a cache."""
        with Path(self.node).open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(offset)
            return file.read(self.size - offset if length is None else length)


@contextmanager
def loop(file: Path, slot: str) -> Iterator[Card]:
    """A loop device over this file, opened as `terrible-disk` opens a card."""
    node = subprocess.run(
        ["losetup", "-f", "--show", file], check=True, capture_output=True, text=True
    ).stdout
    node = node.strip()
    fd = os.open(node, os.O_RDWR | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC)
    try:
        yield Card(slot, fd, os.lseek(fd, 0, os.SEEK_END), node)
    finally:
        os.close(fd)
        subprocess.run(["losetup", "-d", node], check=True)


@contextmanager
def blank(slot: str, size: int, before: bytes = b"") -> Iterator[Card]:
    """A card on a sparse file, with this on it."""
    with tempfile.NamedTemporaryFile(prefix="card-") as file:
        file.write(before)
        file.truncate(size)
        file.flush()
        with loop(Path(file.name), slot) as card:
            yield card


@contextmanager
def faulty(slot: str, medium: Medium) -> Iterator[Card]:
    """A card whose content is `medium`."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="card-")))
        yield stack.enter_context(loop(stack.enter_context(fuse.mounted(scratch / "fuse", medium)), slot))


@dataclass
class Outcome:
    """What the worker has said and left."""

    code: int
    events: list[dict[str, Any]] = field(default_factory=list)

    def cards(self) -> dict[str, dict[str, Any]]:
        """The last word on each card."""
        found = [event for event in self.events if event["event"] == "card"]
        assert len({event["slot"] for event in found}) == len(found), "a card is told of once"
        return {event["slot"]: event for event in found}

    @property
    def end(self) -> dict[str, Any]:
        return self.events[-1]


class Worker:
    """The process. What `asked` says comes on top of an image and its cards."""

    START: Sequence[str] = ("-m", "terrible.storage.writing.worker")

    def __init__(
        self, image: Path | str, cards: Sequence[Card], fds: Sequence[int] = (), **asked: Any
    ) -> None:
        inherited = [*fds, *(card.fd for card in cards)]
        self.process = subprocess.Popen(
            [sys.executable, *self.START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=inherited,
            text=True,
        )
        job: Mapping[str, Any] = {
            "image": str(image),
            "sha256": None,
            "bmap": None,
            "cards": [{"slot": card.slot, "fd": card.fd, "size": card.size} for card in cards],
            "memory": 64 * MB,
            **asked,
        }
        assert self.process.stdin
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """Each event as it comes."""
        assert self.process.stdout
        for line in self.process.stdout:
            yield json.loads(line)

    def outcome(self) -> Outcome:
        """Everything, when it has ended by itself."""
        events = list(self.events())
        code = self.process.wait(60)
        self.close()
        return Outcome(code, events)

    def close(self) -> None:
        """Let go of its pipes; its standard input ends."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()


def flash(image: Path | str, cards: Sequence[Card], **asked: Any) -> Outcome:
    """Write it."""
    return Worker(image, cards, **asked).outcome()
