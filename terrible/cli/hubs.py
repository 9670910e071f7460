"""`terrible hubs`: every USB hub and port of this head, and what one port's switch is really worth.

It talks to USB directly, and so runs only where no agent does.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from terrible import lock
from terrible.cli.assemble import power_of
from terrible.cli.hubprobe import Machine, probe
from terrible.cli.hubsurvey import HubView, Survey
from terrible.cli.loop import complain, run
from terrible.config import Config
from terrible.configfile import load
from terrible.errors import HostError, UsageError
from terrible.model import Location, Slot
from terrible.power.prober import HubProber, Verdicts
from terrible.power.topology import Topology
from terrible.state import State
from terrible.usb.bus import UsbBus
from terrible.usb.pulse import pulse

INTERRUPTED = 130
"""What a shell expects of a command that Ctrl-C has ended (128 + SIGINT)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    config: Path | None
    tree: bool = False
    as_json: bool = False
    probe: str | None = None
    force: bool = False


def main(options: Options) -> int:
    """Show the hubs, or probe a port: 0 if its switch works, 1 if it does not."""
    try:
        location = _checked(options)
        config = load(options.config)
    except HostError as error:
        return complain(error)
    ended: list[int] = []
    code = run(lambda: _work(options, config, location, ended), logging.WARNING)
    return code or (ended[0] if ended else INTERRUPTED)


def _checked(options: Options) -> Location | None:
    """The port to probe, if any. UsageError for options that contradict each other."""
    if options.tree and options.as_json:
        raise UsageError("--tree and --json are two views; choose one")
    if options.probe is None:
        if options.force:
            raise UsageError("--force belongs to --probe; the views switch nothing")
        return None
    if options.tree:
        raise UsageError("--tree shows all hubs, --probe reports on one port; choose one")
    try:
        return Location(options.probe)
    except ValueError as error:
        raise UsageError(f"--probe: {error}; terrible hubs lists them") from None


async def _work(options: Options, config: Config, location: Location | None, ended: list[int]) -> None:
    async with _machine(options, config) as machine:
        if location is None:
            survey = Survey(machine.bus, machine.control, machine.power, machine.slots, machine.state)
            _show(await survey.hubs(), options)
            ended.append(0)
        else:
            ended.append(await _probe(machine, location, options))


async def _probe(machine: Machine, location: Location, options: Options) -> int:
    tell = (lambda _: None) if options.as_json else partial(print, flush=True)
    found = await probe(machine, location, tell, force=options.force)
    if options.as_json:
        print(json.dumps({"v": 1, "location": location, **found}, indent=2))
    elif not machine.state.problem:
        print("the agent will use this when it chooses how to switch the port")
    return 0 if found["works"] else 1


@asynccontextmanager
async def _machine(options: Options, config: Config) -> AsyncIterator[Machine]:
    """This head's USB, for us alone."""
    path, slots = config.state_directory / "state.json", config.named_slots()
    # A view by somebody who may not read the agent's memory is a view without it.
    state = State(path if options.probe is not None or os.access(path, os.R_OK) else None)
    async with AsyncExitStack() as stack:
        stack.enter_context(_owner(options.probe, slots))
        bus = UsbBus()
        stack.callback(bus.close)
        verdicts = Verdicts(state.verdict)
        power = await power_of(stack, config, options.config, bus.hubs, verdicts.of)
        prober = HubProber(power, verdicts, bus.hubs, Topology(), bus, pulse)
        yield Machine(bus, bus.hubs, power, slots, state, prober)


@contextmanager
def _owner(probed: str | None, slots: list[Slot]) -> Iterator[None]:
    """The lock; whoever has it instead, the agent most likely, can probe its slots by itself."""
    with ExitStack() as held:
        try:
            held.enter_context(lock.owner())
        except lock.Held as error:
            if probed is None:
                raise
            names = [slot.name for slot in slots if slot.location == probed]
            ask = f"ask it: terrible probe {names[0]}" if names else "a slot of its own it can probe itself"
            said = f"another terrible is running ({error.holder}); {ask}; or stop it first"
            raise HostError(said) from None
        yield


def _show(hubs: list[HubView], options: Options) -> None:
    if options.as_json:
        print(json.dumps(as_json(hubs), indent=2))
        return
    from rich.console import Console

    from terrible.cli.hubtable import show

    show(hubs, Console(), tree=options.tree)


def as_json(hubs: list[HubView]) -> dict[str, Any]:
    """All of it as plain JSON values."""
    return {"v": 1, "hubs": [dataclasses.asdict(hub) for hub in hubs]}
