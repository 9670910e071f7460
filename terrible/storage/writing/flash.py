"""An image onto cards: one pass for all of them, one more for those that were too slow for it."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from terrible.storage.faults import CardError, ImageError
from terrible.storage.writing import patch as patches
from terrible.storage.writing.beforehand import opened
from terrible.storage.writing.device import Device
from terrible.storage.writing.fanout import Pass
from terrible.storage.writing.job import Job, Target
from terrible.storage.writing.layout import Layout
from terrible.storage.writing.pool import CHUNK, Pool
from terrible.storage.writing.report import Report
from terrible.storage.writing.source import Source
from terrible.storage.writing.verify import AHEAD
from terrible.storage.writing.watch import Watch
from terrible.storage.writing.writer import Card, Writer

ELSEWHERE = 16 << 20
"""Bytes of the job's memory that are not the pool's: the unpacking program, its pipes, what is hashed."""


class Flash:
    """One job, told on standard output."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._cards: list[Card] = []
        self._ended: set[str] = set()
        self._ending = Lock()
        self._image = Layout()
        self._report = Report(self._cards)
        room = job.memory - ELSEWHERE - len(job.targets) * AHEAD * CHUNK
        self._pool = Pool(room)

    def run(self) -> int:
        """Write all cards; the exit code, 0 where every one is whole."""
        error = None
        try:
            source = self._opened()
            mapped = source.bmap.mapped if source.bmap else source.size
            self._report.say("image", bytes=source.size, mapped=mapped)
            writers = self._writers(source, mapped)
            with Watch(writers.values()):
                self._passes(source, writers)
        except (ImageError, CardError) as fault:
            error = str(fault)
        except OSError as fault:  # what lies on a worn disk may not be read even for its first bytes
            error = f"the image cannot be read: {fault.strerror}"
        for target in self._job.targets:
            self._over(Card(target.slot, error=error))
        self._report.close()
        self._report.say("end", error=error, sha256=self._image.sha256 or None)
        return 0 if error is None and all(card.whole for card in self._cards) else 1

    def _opened(self) -> Source:
        """The image, if it is the one that was looked at."""
        source = opened(self._job.image, self._job.fd, self._job.digest, self._job.bmap)
        if self._job.mark not in (None, source.mark):
            raise ImageError("the image's file is another than the one that was looked at")
        return source

    def _writers(self, source: Source, mapped: int | None) -> dict[str, Writer]:
        """A thread for each card that can be had. None touches its card before the image's first piece."""
        writers = {}
        for target in self._job.targets:
            card = Card(target.slot, total=mapped)
            self._cards.append(card)
            try:
                device = _device(target)
            except CardError as error:
                card.error = str(error)
                self._over(card)
                continue
            writers[target.slot] = Writer(
                card,
                device,
                target.patches,
                size=source.size,
                discard=source.bmap is None,
                over=self._over,
            )
        return writers

    def _passes(self, source: Source, writers: Mapping[str, Writer]) -> None:
        """Both passes. Every thread has ended when this returns or raises."""
        waiting = dict(writers)
        why: ImageError | CardError = ImageError("the image was not written to its end")
        try:
            first = Pass(source, waiting, self._pool, patient=not source.again)
            self._image = self._proven(source, first.run())
            aside = {slot: waiting.pop(slot) for slot in first.aside}
            for writer in waiting.values():
                writer.conclude(self._image)
            waiting = aside
            if waiting:
                self._second(source, waiting)
        except (ImageError, CardError) as error:
            why = error
            raise
        finally:
            for writer in waiting.values():  # a card that has heard how it went listens no more
                writer.conclude(why)
            for writer in writers.values():
                writer.thread.join()

    def _second(self, source: Source, aside: Mapping[str, Writer]) -> None:
        for writer in aside.values():
            writer.again()
        image = Pass(source, aside, self._pool, patient=True).run()
        if image.sha256 != self._image.sha256:
            raise ImageError("the image's file has changed while it was read")
        for writer in aside.values():
            writer.conclude(image)

    def _proven(self, source: Source, image: Layout) -> Layout:
        """The image, seen to be whole and the one that was meant."""
        if image.size < max(image.reach, 1):
            raise ImageError(f"the image is cut off: {image.size} bytes, its partitions need {image.reach}")
        if source.size not in (None, image.size):
            raise ImageError(f"the image has {image.size} bytes where {source.size} were expected")
        if source.digest and source.digest not in (source.found, image.sha256):
            raise ImageError(f"the image is not the one that was meant: its sha256 is not {source.digest}")
        return image

    def _over(self, card: Card) -> None:
        """Once each: one that was given up may come to its own end later."""
        with self._ending:
            if card.slot in self._ended:
                return
            self._ended.add(card.slot)
        self._report.say(
            "card",
            slot=card.slot,
            outcome="whole" if card.whole else "failed",
            error=card.error,
            written=card.written,
            seconds=round(sum(card.stages.values()), 3),
            stages={stage: round(seconds, 3) for stage, seconds in card.stages.items()},
            sha256=self._image.sha256 if card.whole else None,
        )


def _device(target: Target) -> Device:
    device = Device(target.fd, target.size)
    for patch in target.patches:
        patches.check(device, patch)
    return device
