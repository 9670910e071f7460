"""`terrible serve`: what people use rpiboot for, for all Pis at once.

No configuration, no broker, no power: whatever Pi appears is given its boot files.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from terrible import __version__, lock
from terrible.agent import Agent, World
from terrible.boot import Means
from terrible.cli.loop import complain, run
from terrible.cli.nothing import NoAlarms, NoDisks, NoPower, NoProber
from terrible.errors import UsageError
from terrible.limits import Limits
from terrible.model import Answer, Info, Location, Phase, Report, Request, Slot, Transcript
from terrible.net import addresses
from terrible.net.direct import GadgetSeen
from terrible.net.shutdown import ShutdownCommand
from terrible.seams import News
from terrible.state import State
from terrible.usb.bootfiles import BootFiles
from terrible.usb.bus import UsbBus
from terrible.usb.layers import Roots

LINGER = 2.0
"""Seconds without any Pi under way after which a `serve` without `--loop` is done."""
UNDER_WAY = frozenset({Phase.ROM, Phase.LOADING, Phase.STARTING, Phase.FAILED})


def main(argv: Sequence[str]) -> int:
    """Serve until every Pi that appeared runs by itself, or for ever with `--loop`."""
    options = _parser().parse_args(argv)
    if not options.directory.is_dir():
        return complain(UsageError(f"{options.directory} is no directory; -d names the boot files"))
    tally = Tally()
    code = run(lambda: _serve(options, tally))
    return code or int(bool(tally.failed - tally.done))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="terrible serve", description="Boot every Pi that appears on USB.")
    parser.add_argument("-d", "--directory", type=Path, required=True, help="where the boot files are")
    parser.add_argument("-o", "--overlay", action="store_true", help="prefer files in DIR/<USB location>/")
    parser.add_argument("-l", "--loop", action="store_true", help="go on after every Pi has booted")
    return parser


async def _serve(options: argparse.Namespace, tally: Tally) -> None:
    with lock.owner():
        bus = UsbBus()
        try:
            files = BootFiles(Roots(options.directory, overlay=options.overlay), [], "serve")
            means = Means(files, GadgetSeen(), Limits())
            world = World(
                bus, NoPower(), NoAlarms(), ShutdownCommand({}, 0), tally, means, NoProber(), NoDisks()
            )
            info = Info(__version__, "serve", socket.gethostname(), "serve", time.time(), ())
            agent = Agent(world, [], info, State(None), slot_at)
            print(f"waiting for Pis; files from {options.directory}", flush=True)
            await _until_done(agent, tally, loop=options.loop)
        finally:
            bus.close()


async def _until_done(agent: Agent, tally: Tally, *, loop: bool) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(agent.run(), name="agent")
        if not loop:
            await tally.finished()
            running.cancel()


def slot_at(location: Location) -> Slot:
    """A slot named after its location, as rpiboot names its overlay directories."""
    number = 1 + sum(map(ord, location)) % 240
    mac, host_mac = addresses.mac("serve", number), addresses.host_mac("serve", number)
    return Slot("p" + location.replace(".", "-"), number, location, mac, host_mac)


class Tally:
    """Stands where the broker would: prints what happens, and knows when all is done."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self._phases: dict[str, Phase] = {}
        self._news = asyncio.Event()

    def tell(self, news: News) -> None:
        """Print a line for every new phase and every finished attempt."""
        if isinstance(news, Transcript):
            self._attempted(news)
        elif isinstance(news, Report) and self._phases.get(news.slot.location) is not news.phase:
            self._phases[news.slot.location] = news.phase
            print(f"{news.slot.location}  {news.phase}", flush=True)
        self._news.set()

    def _attempted(self, transcript: Transcript) -> None:
        (self.done if transcript.outcome in ("up", "disk") else self.failed).add(transcript.slot)
        sent = sum(file.size for file in transcript.files) / 1e6
        line = f"{transcript.slot}  {transcript.outcome} after {transcript.seconds:.1f} s, {sent:.1f} MB"
        print(f"{line}: {transcript.diagnosis}" if transcript.diagnosis else line, flush=True)

    async def finished(self) -> None:
        """Return once something has booted or failed, and nothing has been under way for a while."""
        while True:
            self._news.clear()
            idle = (self.done or self.failed) and not UNDER_WAY & set(self._phases.values())
            try:
                async with asyncio.timeout(LINGER if idle else None):
                    await self._news.wait()
            except TimeoutError:
                return

    def answer(self, request: Request, answer: Answer) -> None:
        """Nobody asks."""

    async def requests(self) -> AsyncIterator[Request]:
        """Nobody asks."""
        await asyncio.Event().wait()
        yield Request("", "")

    async def run(self) -> None:
        """Nothing to keep connected."""
        await asyncio.Event().wait()
