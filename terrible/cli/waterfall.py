"""A transcript as a waterfall: what of a boot took how long, one bar below the other. [pure]"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from terrible.remote.heard import Boot, File, StageTime
from terrible.usb.identify import BOOTCODE

_BOOTCODE = frozenset(BOOTCODE.values())
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LABEL = 24
_NUMBERS = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that began `start` seconds into the attempt and took `seconds`; `size` in bytes, if any."""

    label: str
    start: float
    seconds: float
    size: int | None = None


def waterfall(name: str, boot: Boot, width: int) -> list[str]:
    """The whole transcript in lines of at most `width` columns, but for long names and sentences."""
    stages = stage_bars(boot.stages)
    whole = max([boot.seconds, *(bar.start + bar.seconds for bar in stages)])
    room = max(10, width - _LABEL - _NUMBERS - 2)
    sent = sum(file.layer is not None for file in boot.files)
    lines = [headline(name, boot), "", *(_line(bar, whole, room) for bar in stages)]
    if steps := [bar for bar in step_bars(boot) if bar.seconds]:
        lines += ["", "in the stage gadget", *(_line(bar, whole, room) for bar in steps)]
    if boot.files:
        asked = f"{len(boot.files)} files asked for, {sent} sent, {size(boot.size)}"
        lines += ["", *_enlarged(asked, file_bars(boot), room)]
    if missing := [file.name for file in boot.files if file.layer is None]:
        lines += ["", *missed(missing, width)]
    if boot.diagnosis:
        lines += ["", f"diagnosis: {boot.diagnosis}"]
    return lines


def headline(name: str, boot: Boot) -> str:
    """The attempt in one line."""
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(boot.started))
    more = f", started over {boot.restarts} times" if boot.restarts else ""
    more += f", {boot.bad_requests} bad requests" if boot.bad_requests else ""
    return f"{name}: attempt {boot.attempt} of {began}: {boot.outcome} after {boot.seconds:.1f} s{more}"


def stage_bars(stages: Sequence[StageTime]) -> list[Bar]:
    """One stage begins where the one before it ends; what follows the gadget is the way from it to `up`."""
    bars: list[Bar] = []
    start = 0.0
    for stage in stages:
        if bars and bars[-1].label == "gadget" and stage.stage == "starting":
            bars[-1] = replace(bars[-1], seconds=bars[-1].seconds + stage.seconds)
        else:
            bars.append(Bar(stage.stage, start, stage.seconds))
        start += stage.seconds
    return bars


def step_bars(boot: Boot) -> list[Bar]:
    """The steps from gadget to `up`, which end with the attempt."""
    start = max(0.0, boot.seconds - sum(step.seconds for step in boot.network))
    return [Bar(bar.label, start + bar.start, bar.seconds) for bar in stage_bars(boot.network)]


def file_bars(boot: Boot) -> list[Bar]:
    """The files that were sent, each where it was on the way: one at a time, within its stage."""
    bars, at = [], 0.0
    begins = _begins(boot)
    for file, stage in zip(boot.files, _stages_of(boot.files), strict=True):
        at = max(at, begins.get(stage, 0.0))
        if file.layer is not None:
            bars.append(Bar(file.name, at, file.seconds, file.size))
        at += file.seconds
    return bars


def missed(names: Sequence[str], width: int) -> list[str]:
    """The names of files that no layer has, as a paragraph."""
    lines, line = [], "not found (most are optional):"
    for name in dict.fromkeys(names):
        if len(line) + len(name) + 2 > width:
            lines.append(line)
            line = " "
        line += f" {name},"
    return [*lines, line.removesuffix(",")]


def size(count: int) -> str:
    """Bytes as people say them."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _enlarged(heading: str, bars: Sequence[Bar], room: int) -> list[str]:
    """Bars on a scale of their own: beside a kernel's start nobody could tell files apart."""
    if not bars:
        return [heading]
    begin, end = bars[0].start, max(bar.start + bar.seconds for bar in bars)
    moved = [replace(bar, start=bar.start - begin) for bar in bars]
    scale = f"from {begin:.1f} to {end:.1f} s"
    return [f"{heading}, {scale}", *(_line(bar, end - begin, room) for bar in moved)]


def _stages_of(files: Sequence[File]) -> Iterator[tuple[str, int]]:
    """The stage that took each file, and which time it was there: a ROM that comes back begins anew."""
    rounds, stage = 0, ""
    for file in files:
        now = "rom" if file.name in _BOOTCODE else "loader"
        rounds += now == "rom" and stage != "rom"
        stage = now
        yield stage, max(rounds, 1)


def _begins(boot: Boot) -> dict[tuple[str, int], float]:
    """When each stage began, each time the port showed it."""
    counts: dict[str, int] = {}
    begins = {}
    for bar in stage_bars(boot.stages):
        counts[bar.label] = counts.get(bar.label, 0) + 1
        begins[bar.label, counts[bar.label]] = bar.start
    return begins


def _line(bar: Bar, whole: float, room: int) -> str:
    label = bar.label if len(bar.label) <= _LABEL else f"{bar.label[: _LABEL - 1]}…"
    counted = "" if bar.size is None else size(bar.size)
    took = f"{bar.seconds:.2f} s" if bar.seconds >= 1 else f"{1000 * bar.seconds:.0f} ms"
    numbers = f"{counted:>9} {took:>9}"
    return f"{label:<{_LABEL}}{numbers:>{_NUMBERS}}  {drawn(bar, whole, room)}".rstrip()


def drawn(bar: Bar, whole: float, room: int) -> str:
    """The bar at its place in `room` columns that stand for `whole` seconds; never nothing."""
    if whole <= 0:
        return ""
    begin, end = (round(8 * room * at / whole) for at in (bar.start, bar.start + bar.seconds))
    begin = min(begin // 8 * 8, 8 * (room - 1))
    eighths = max(1, min(end, 8 * room) - begin)
    return " " * (begin // 8) + _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
