"""`terrible check`: one screen for a bug report; whether `terrible run` would work here, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from terrible.cli.health import (
    broker,
    cards,
    configuration,
    files,
    flashing,
    hashes,
    host,
    network,
    power,
    programs,
    udev,
    usb,
)
from terrible.cli.health.finding import Finding, Level
from terrible.cli.health.probe import Probe, ask
from terrible.config import Config
from terrible.configfile import ConfigError, load

_AGAIN = "find out what it waits for (dmesg, a network disk?), and check again"


def main(config: Path | None) -> int:
    """Print the screen; 0 if `run` with this configuration would work, 78 if that is bad, else 1."""
    counts = dict.fromkeys(Level, 0)
    bad_configuration = False
    for finding in _findings(config):
        counts[finding.level] += 1
        bad_configuration |= finding.level is Level.ERROR and finding.what == "config"
        _print(*finding.lines())
    _print(_verdict(counts))
    if bad_configuration:
        return ConfigError.exit_code
    return 1 if counts[Level.ERROR] else 0


def _findings(path: Path | None) -> Iterator[Finding]:
    """From the machine to the cluster; without a usable configuration, what can be told of the machine."""
    yield from ask(_probe("host", host.findings, 5.0))
    yield from ask(_probe("udev", udev.findings, 5.0))
    yield from ask(_probe("programs", programs.findings, 10.0))
    said = ask(_probe("config", partial(configuration.findings, path), 10.0))
    yield from said
    if any(finding.level is Level.ERROR for finding in said):
        yield from ask(_probe("usb", partial(usb.findings, ()), 5.0))
    else:
        yield from _configured(load(path), path)


def _configured(config: Config, path: Path | None) -> Iterator[Finding]:
    yield from ask(_probe("usb", partial(usb.findings, config.named_slots()), 5.0))
    yield from ask(_probe("power", partial(power.findings, config, path), 30.0))
    yield from ask(_probe("network", partial(network.programs, config), 5.0))
    yield from ask(_probe("files", partial(files.findings, config), 20.0))
    yield from ask(_probe("card", partial(flashing.findings, config, path), 5.0, Level.WARNING))
    yield from ask(_probe("card", partial(cards.findings, config), 5.0, Level.WARNING))
    yield from ask(_probe("file", partial(hashes.findings, config), 60.0, Level.WARNING))
    yield from ask(Probe(partial(broker.findings, config), broker.LIMIT, broker.late(config)))


def _probe(
    what: str, look: Callable[[], Iterable[Finding]], limit: float, level: Level = Level.ERROR
) -> Probe:
    return Probe(look, limit, Finding(level, what, f"no answer within {limit:g} s", _AGAIN))


def _verdict(counts: dict[Level, int]) -> str:
    problems, warnings = (_number(counts[level], level.value) for level in (Level.ERROR, Level.WARNING))
    if counts[Level.ERROR]:
        return f"terrible run would not work: {problems} to solve first, {warnings}"
    return f"terrible run would work: {warnings}"


def _number(count: int, of: str) -> str:
    return f"{count or 'no'} {of}{'' if count == 1 else 's'}"


def _print(*lines: str) -> None:
    """At once, for the next look may take its time; in whatever letters the terminal has."""
    encoding = sys.stdout.encoding or "ascii"
    for line in lines:
        try:
            print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
        except BrokenPipeError:  # `| head` has seen enough; the exit code still counts
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
