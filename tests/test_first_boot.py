"""The words for a card's first boot are served until that boot has run once: never not, and never again."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from terrible.model import Phase
from terrible.sim.disks import FIRST_BOOT
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi, Plug
from terrible.sim.wire import Wire
from terrible.state import State
from tests import clock
from tests.cluster import boot_directory, cluster
from tests.test_flashing import flashed

LINES = {
    hashlib.sha256(f"words={words}\n".encode()).hexdigest(): words for words in ("", FIRST_BOOT)
}  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = boot_directory(tmp_path / "boot")
    (base / "cmdline.txt.template").write_text("words=${first_boot}\n")
    return base


@dataclass
class Unfolding(Pi):
    """A Pi whose first boot, `first` seconds of it, ends with a restart, before it has a network."""

    first: float | None = None
    words: list[str] = field(default_factory=list)
    """Those that each kernel was started with."""

    async def _loader(self, wire: Wire) -> bool:
        done = await super()._loader(wire)
        if line := self.read.get("cmdline.txt"):
            self.words.append(LINES[line])
        return done

    async def _run(self, plug: Plug) -> bool:
        if self.first is None or self._shows_card or not self.words[-1]:
            return await super()._run(plug)
        plug.attach(self.becomes)
        await asyncio.sleep(self.first)
        plug.detach()
        return True


def test_a_rom_that_has_to_be_fed_twice_costs_no_words(base: Path) -> None:
    """The commonest failure of a boot; no kernel has seen the words by then."""

    async def story() -> None:
        pi = Unfolding()
        async with cluster(base, [pi]) as rig:
            await rig.until(Phase.UP)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            pi.faults = [Fault(Kind.ROM_AGAIN, times=1)]
            await rig.until(Phase.ROM)
            await rig.until(Phase.UP)
        assert pi.words == ["", FIRST_BOOT]

    clock.run(story())


def test_a_first_boot_that_restarts_with_its_gadget_on_the_bus_is_not_begun_anew(
    base: Path, tmp_path: Path
) -> None:
    """As firstrun.sh of rpi-imager does: systemd has loaded the gadget's module by then."""

    async def story() -> None:
        pi, state = Unfolding(first=20.0), State(tmp_path / "state.json")
        async with cluster(base, [pi], state=state) as rig:
            await rig.until(Phase.UP)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            await rig.until(Phase.STARTING)
            async with asyncio.timeout(120):
                await rig.until(Phase.UP)
        assert pi.words == ["", FIRST_BOOT, ""]
        assert State(tmp_path / "state.json").first_boot("node1") is None

    clock.run(story())


def test_what_a_restart_has_ended_stays_ended_in_the_attempts_that_follow(base: Path) -> None:
    async def story() -> None:
        pi = Unfolding()
        async with cluster(base, [pi]) as rig:
            await rig.until(Phase.UP)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            await rig.until(Phase.STARTING)
            port = rig.cluster.ports[rig.slots[0].location]
            await port.stop()
            pi.faults = [Fault(Kind.LOADER_SILENT, times=1)]
            port.start()  # it starts over by itself, and then its attempt fails
            await rig.until(Phase.FAILED)
            await rig.until(Phase.UP)
        assert pi.words == ["", FIRST_BOOT, ""]

    clock.run(story())


def test_a_kernel_that_was_never_heard_of_gets_them_again(base: Path) -> None:
    async def story() -> None:
        pi = Unfolding()
        async with cluster(base, [pi]) as rig:
            await rig.until(Phase.UP)
            assert (await flashed(rig, "node1"))[-1].status == "done"
            pi.faults = [Fault(Kind.KERNEL_PANICS, times=1)]
            await rig.until(Phase.FAILED)
            await rig.until(Phase.UP)
        assert pi.words == ["", FIRST_BOOT, FIRST_BOOT]

    clock.run(story())
