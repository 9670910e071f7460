"""The cards of simulated Pis: written at the speed of a hub that all share, and remembered by slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from terrible.errors import BootError, HostError
from terrible.model import CardNews, Slot, Stage
from terrible.seams import Card
from terrible.sim.cluster import SimCluster

RATE = 35e6
"""Bytes a second that all cards behind one USB 2.0 hub share."""
FIRST_BOOT = "init=/usr/lib/raspberrypi-sys-mods/firstboot"
"""As Raspberry Pi OS has it."""
STEPS = 20
"""Pieces of news of writing, and as many of verifying."""


@dataclass(frozen=True, slots=True)
class SimCard:
    """An open card."""

    slot: str


class SimDisks:
    """Cards by slot: the image that is on each, or None once its writing has begun and not ended.

    `images` are the bytes of each, none where it is damaged; a card of `broken` fails half way, one of
    `small` before it is touched. A Pi would start from an image of `stock` by itself.
    """

    def __init__(self, cluster: SimCluster, images: dict[str, int], speed: float = 1.0) -> None:
        self._cluster, self.images, self._speed = cluster, images, speed
        self.cards: dict[str, str | None] = {}
        self.broken: set[str] = set()
        self.small: set[str] = set()
        self.stock: set[str] = set()

    async def check(self, image: str) -> None:
        """Only what there is."""
        if image not in self.images:
            raise HostError(f"there is no image {image!r}; there are {', '.join(self.images) or 'none'}")

    async def look(self, image: str) -> None:
        """HostError for a damaged one."""
        if not self.images[image]:
            raise HostError(f"{image} is cut off")

    @asynccontextmanager
    async def open(self, slot: Slot) -> AsyncIterator[SimCard]:
        """The card, if the Pi shows it."""
        if self._cluster.ports[slot.location].shown is not Stage.DISK:
            raise BootError(f"no disk shows at {slot.location}")
        yield SimCard(slot.name)

    async def write(self, image: str, cards: Sequence[Card]) -> AsyncIterator[CardNews]:
        """All at once, and then all are read back."""
        total, left = self.images[image], {card.slot for card in cards}
        for slot in sorted(left & self.small):
            yield CardNews(slot, outcome="failed", error="the card is too small", touched=False)
        left -= self.small
        self.cards.update(dict.fromkeys(left))
        for stage in ("writing", "verifying"):
            for step in range(1, STEPS + 1):
                seconds = total * len(left) / RATE / STEPS / self._speed
                await asyncio.sleep(seconds)
                for slot in sorted(left):
                    yield CardNews(
                        slot, stage, total * step // STEPS, total, RATE / len(left), seconds * (STEPS - step)
                    )
                if stage == "writing" and step == STEPS // 2:
                    for slot in sorted(left & self.broken):
                        yield CardNews(slot, outcome="failed", error="its card does not take any more")
                    left -= self.broken
        for slot in sorted(left):
            self.cards[slot] = image
            stock = image in self.stock
            yield CardNews(slot, outcome="whole", sha256="5f" * 32, first_boot=FIRST_BOOT, card_first=stock)
