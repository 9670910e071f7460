"""The cards of slots: opened by terrible-disk, written by a process of their own (seams.Disks).

That process gets the descriptors and nothing else; it ends with us, whatever becomes of us.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from terrible.errors import DiskError, HostError
from terrible.model import CardNews, Slot
from terrible.seams import Card
from terrible.storage import client
from terrible.storage.aside import Aside
from terrible.storage.client import DiskHelper
from terrible.storage.faults import ImageError
from terrible.storage.images.facts import Facts, known
from terrible.storage.keypatch import patches
from terrible.storage.writing import beforehand
from terrible.storage.writing.source import mark

log = logging.getLogger(__name__)

APPEARS, AGAIN = 15.0, 0.5
"""Seconds in which a card may become one that can be opened, and between two tries."""
END = 5.0
"""Seconds for the writer to end once its stdin is closed; it may wait for a card that is slow to answer."""
BESIDE = (".bmap", ".sha256")
"""Ends of the names of what lies beside an image."""
KILLED = 1.0
"""Seconds for it to be gone once it is killed. One that is in the kernel with a card that never answers is
not, and would hold up the agent's end, in which ports are cut whose Pis wait to be served."""
LONGEST = 1 << 20
"""Bytes of a line of the writer's."""


@dataclass(frozen=True, slots=True)
class OpenCard:
    """A card that is open, and its size in bytes."""

    slot: str
    fd: int
    size: int

    @property
    def job(self) -> dict[str, object]:
        """As the writer is told of it (docs/flash.md); it inherits the descriptor."""
        return {"slot": self.slot, "fd": self.fd, "size": self.size}


@dataclass(frozen=True, slots=True)
class Named:
    """A bmap's path and a sha256 in hex that a person names; else the writer looks beside the image."""

    bmap: str | None = None
    sha256: str | None = None


class CardDisks:
    """Writes images of one directory to cards."""

    def __init__(self, helper: DiskHelper, images: Path, keys: Path, named: Named | None = None) -> None:
        self._helper, self._images, self._keys = helper, images, keys
        self._named = named or Named()
        self._aside = Aside(str(images))

    async def check(self, image: str) -> None:
        """HostError where the directory has no such file; what is in it is seen when it is read."""
        await self._aside.do(lambda: self._check(image))

    def _check(self, image: str) -> None:
        path = self._images / image
        try:
            if "/" in image or not image or not stat.S_ISREG(path.stat().st_mode):
                raise HostError(f"{image!r} is no image of {self._images}")
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}; {self._there()}") from None

    def _there(self) -> str:
        """What may be flashed instead."""
        try:
            names = sorted(os.listdir(self._images))
        except OSError:
            return f"{self._images} is no directory that the agent's user can read"
        return f"there is {', '.join(n for n in names if not n.endswith(BESIDE)) or 'nothing'}"

    async def look(self, image: str) -> None:
        """HostError where the image, its bmap or its digest is damaged, as far as their beginnings tell.

        Or where no terrible-disk would open a card.
        """
        await self._helper.check()
        try:
            await self._aside.do(lambda: self._look(image))
        except (ImageError, OSError) as error:
            raise HostError(str(error)) from None

    def _look(self, image: str) -> None:
        named = self._named
        os.close(beforehand.opened(str(self._images / image), None, named.sha256, named.bmap).fd)

    @asynccontextmanager
    async def open(self, slot: Slot) -> AsyncIterator[OpenCard]:
        """The card at the slot's location; BootError where one of the five locks does not hold."""
        with await self._found(slot.name) as card:
            if card.seen.location != slot.location:  # else two slots might get each other's card, and keys
                theirs = f"terrible-disk has {slot.name} at {card.seen.location}"
                remedy = "give both the same configuration, and start the agent again"
                raise DiskError(f"{theirs}, this agent at {slot.location}; {remedy}")
            yield OpenCard(slot.name, card.fd, card.seen.size)

    async def _found(self, slot: str) -> client.Card:
        """The kernel lists a disk a second or two after its device; until then there is none to open."""
        end = asyncio.get_running_loop().time() + APPEARS
        while True:
            try:
                return await self._helper.open(slot)
            except DiskError:
                if asyncio.get_running_loop().time() >= end:
                    raise
            await asyncio.sleep(AGAIN)

    async def write(self, image: str, cards: Sequence[Card]) -> AsyncIterator[CardNews]:
        """Write and verify all of them at once."""
        places = [card for card in cards if isinstance(card, OpenCard)]
        with ExitStack() as held:
            source, fds = await self._aside.do(lambda: self._source(image))
            facts = await self._aside.do(lambda: self._facts(image))
            keys = patches(facts, [card.slot for card in places], self._keys)
            own = await asyncio.to_thread(held.enter_context, keys)
            job = source | {"bmap": self._named.bmap, "sha256": self._named.sha256}
            job |= {"cards": [card.job for card in places], "patches": [patch.job for patch in own]}
            inherited = [*fds, *(card.fd for card in places), *(patch.fd for patch in own)]
            words = " ".join(facts.cmdline.first_boot) if facts else ""
            card_first = facts is not None and facts.card_first
            async with _writer(inherited) as process:
                assert process.stdin is not None
                process.stdin.write(json.dumps(job).encode() + b"\n")
                async for news in _told(process):
                    yield replace(news, first_boot=words, card_first=card_first)

    def _source(self, image: str) -> tuple[dict[str, object], list[int]]:
        """Where the writer gets the image, as it is told, and the descriptors that it needs for that.

        Ask before anything is learned of the image: the writer takes no other file for it.
        """
        path = self._images / image
        try:
            return {"image": str(path), "mark": mark(path.stat())}, []
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}") from error

    def _facts(self, image: str) -> Facts | None:
        """What is to be known of it before it is written; the state directory takes what is unpacked."""
        return known(self._images / image, self._keys.parent)


class PipedDisks(CardDisks):
    """Writes what comes in a descriptor; the writer's own standard input tells it that we are there."""

    def __init__(self, helper: DiskHelper, fd: int, keys: Path, named: Named | None = None) -> None:
        super().__init__(helper, Path(), keys, named)
        self._fd = fd

    async def check(self, image: str) -> None:
        """What comes is seen when it comes."""

    def _look(self, image: str) -> None:
        if self._named.bmap:
            beforehand.bmap_at(Path(self._named.bmap))

    def _facts(self, image: str) -> Facts | None:
        """Nobody knows: it cannot be read twice."""
        return None

    def _source(self, image: str) -> tuple[dict[str, object], list[int]]:
        return {"image": "-", "image_fd": self._fd}, [self._fd]


@asynccontextmanager
async def _writer(descriptors: Sequence[int]) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "terrible.storage.writing.worker"]
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, pass_fds=descriptors, limit=LONGEST, start_new_session=True
        )
    except OSError as error:
        raise HostError(f"there is no process to be had for the writing: {error.strerror}") from error
    try:
        yield process
    finally:
        await _end(process)


async def _told(process: Process) -> AsyncIterator[CardNews]:
    """What it says of each card. What it says of the image is the reason where a card has none of its own."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        said = json.loads(line)
        match said.get("event"):
            case "progress":
                yield CardNews(
                    said["slot"], said["stage"], said["done"], said["total"], said["rate"], said["left"]
                )
            case "card":
                ended, why = said["outcome"], said["error"] or ""
                touched, digest = said["written"] > 0, said["sha256"] or ""
                yield CardNews(said["slot"], outcome=ended, error=why, touched=touched, sha256=digest)


async def _end(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    if await _has_ended(process, END):
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    if not await _has_ended(process, KILLED):
        log.warning("process %d still waits for a card that does not answer, and ends with it", process.pid)


async def _has_ended(process: Process, limit: float) -> bool:
    try:
        async with asyncio.timeout(limit):
            await process.wait()
    except TimeoutError:
        return False
    return True
