"""The cards of slots: opened by terrible-disk, written by a process of their own (seams.Disks).

That process gets the descriptors and nothing else; it ends with us, whatever becomes of us.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from terrible.model import CardNews, DiskError, HostError, Slot
from terrible.seams import Card
from terrible.storage import client
from terrible.storage.client import DiskHelper
from terrible.storage.facts import Facts, known
from terrible.storage.keypatch import patches

APPEARS, AGAIN = 15.0, 0.5
"""Seconds in which a card may become one that can be opened, and between two tries."""
END = 5.0
"""Seconds for the writer to end once its stdin is closed; it may wait for a card that is slow to answer."""
LONGEST = 1 << 20
"""Bytes of a line of the writer's."""


@dataclass(frozen=True, slots=True)
class OpenCard:
    """A card that is open, and its size in bytes."""

    slot: str
    fd: int
    size: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where the writer gets the image: a path, or the descriptor `fd` where the name is `-`."""

    name: str
    fd: int | None = None


class CardDisks:
    """Writes images of one directory to cards."""

    def __init__(self, helper: DiskHelper, images: Path, keys: Path) -> None:
        self._helper, self._images, self._keys = helper, images, keys

    def check(self, image: str) -> None:
        """HostError where the directory has no such file; what is in it is seen when it is read."""
        path = self._images / image
        try:
            if "/" in image or not image or not stat.S_ISREG(path.stat().st_mode):
                raise HostError(f"{image!r} is no image of {self._images}")
        except OSError as error:
            there = ", ".join(sorted(one.name for one in self._images.glob("*"))[:10]) or "nothing"
            raise HostError(f"{path}: {error.strerror}; there is {there}") from None

    @asynccontextmanager
    async def open(self, slot: Slot) -> AsyncIterator[OpenCard]:
        """The card at the slot's location; BootError where one of the five locks does not hold."""
        with await self._found(slot.name) as card:
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
            facts = await asyncio.to_thread(self._facts, image)
            keys = patches(facts, [card.slot for card in places], self._keys)
            own = await asyncio.to_thread(held.enter_context, keys)
            source = self._source(image)
            if source.fd is not None:
                held.callback(os.close, source.fd)
            told = [{"slot": card.slot, "fd": card.fd, "size": card.size} for card in places]
            job = {
                "image": source.name,
                "image_fd": source.fd,
                "cards": told,
                "patches": [p.job for p in own],
            }
            descriptors = [card.fd for card in places] + [patch.fd for patch in own]
            async with _writer(descriptors + ([source.fd] if source.fd is not None else [])) as process:
                assert process.stdin is not None
                process.stdin.write(json.dumps(job).encode() + b"\n")
                words = " ".join(facts.cmdline.first_boot) if facts else ""
                async for news in _told(process):
                    yield replace(news, first_boot=words)

    def _source(self, image: str) -> Source:
        return Source(str(self._images / image))

    def _facts(self, image: str) -> Facts | None:
        """What is to be known of it before it is written; the state directory takes what is unpacked."""
        return known(self._images / image, self._keys.parent)


class StdinDisks(CardDisks):
    """Writes what comes on standard input."""

    def check(self, image: str) -> None:
        """What comes is seen when it comes."""

    def _facts(self, image: str) -> Facts | None:
        """Nobody knows: it cannot be read twice."""
        return None

    def _source(self, image: str) -> Source:
        return Source("-", os.dup(0))  # the writer's own standard input tells it that we are there


@asynccontextmanager
async def _writer(descriptors: Sequence[int]) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "terrible.storage.worker"]
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
    try:
        async with asyncio.timeout(END):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
