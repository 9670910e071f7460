"""Every cycle in one picture: a row per slot, a column per stage, a dot per cycle. [pure]

A bad slot is a red row, a bad stage a red column, a slow one a cloud that lies higher than its
neighbours. The picture carries its own style, for light and dark, and nothing from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from terrible.soak import summary
from terrible.soak.record import STAGES, Cycle
from terrible.soak.report import About
from terrible.soak.statistics import quantile
from terrible.soak.style import style
from terrible.soak.summary import Finding

LABEL, CELL, GAP, MARGIN = 150, 160, 14, 16
"""Widths in pixels: the slot's words, a stage's cell, what lies between, the edge."""
ROW, BAND, RUG, TOP, FOOT = 84, 40, 14, 92, 34
"""Heights: a slot's row, in it the durations and the failures under them; the words above and below."""
SAID = {
    "arrival": "power → ROM",
    "rom": "ROM → LOADER",
    "loader": "files",
    "starting": "→ GADGET",
    "gadget": "→ up",
}


def picture(cycles: Sequence[Cycle], about: About) -> str:
    """The SVG."""
    counted = [cycle for cycle in cycles if cycle.counts]
    stages = _shown(counted)
    tops = {stage: _top(counted, stage) for stage in stages}
    width = 2 * MARGIN + LABEL + len(stages) * (CELL + GAP) - GAP
    height = TOP + len(about.slots) * ROW + FOOT
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(_title(about))}</title><style>{style()}</style>",
        f'<rect class="g" width="{width}" height="{height}"/>',
        *_words(counted, about, tops, height),
    ]
    for place, name in enumerate(about.slots):
        parts += _row([c for c in counted if c.slot == name], name, TOP + place * ROW, tops)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _shown(cycles: Iterable[Cycle]) -> list[str]:
    """The stages that were met with; all where nothing was."""
    met = {stage for cycle in cycles for stage in cycle.stages}
    met |= {stage for cycle in cycles for stage in _failed_in(cycle)}
    return [stage for stage in STAGES if stage in met] or list(STAGES)


def _top(cycles: Iterable[Cycle], stage: str) -> float:
    """What the upper edge of a stage's cells stands for, in all rows: its slots are to be compared.

    A few that took very long are drawn at the edge, so that they do not press all others to the ground.
    """
    seconds = [cycle.stages[stage] for cycle in cycles if stage in cycle.stages]
    longest = min(max(seconds), 2 * quantile(seconds, 0.95)) if seconds else 0.0
    return _round_up(longest) if longest > 0 else 1.0


def _round_up(seconds: float) -> float:
    """The next round number."""
    power = 10.0 ** math.floor(math.log10(seconds))
    return next(
        (step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= seconds), 10 * power
    )


# -- words ------------------------------------------------------------------------------------------


def _title(about: About) -> str:
    simulated = f", simulated ({about.simulated})" if about.simulated else ""
    return f"Soak of {about.cluster}{simulated}"


def _words(cycles: Sequence[Cycle], about: About, tops: dict[str, float], height: int) -> list[str]:
    found = summary.finding(cycles)
    up, first = found.up, found.first_try
    said = (
        f"{up.successes} of {up.trials} cycles up again, at 95 % {100 * up.low:.2f} … {100 * up.high:.2f} %; "
        f"{100 * first.share:.1f} % at the first attempt"
    )
    key = (
        "a dot is a cycle, from left to right, its seconds upwards (at the edge: more); dashes: the median; "
        "a red tick is a failed attempt, a thick bar a cycle that failed for good"
    )
    return [
        _text(MARGIN, 28, _title(about), "h w"),
        _text(MARGIN, 48, said, "w"),
        *(_text(_left(place), 82, SAID.get(stage, stage), "n w") for place, stage in enumerate(tops)),
        *(_text(_left(n) + CELL, 82, f"0 … {tops[stage]:g} s", "d e") for n, stage in enumerate(tops)),
        _text(MARGIN, height - 12, key, "d"),
    ]


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def _left(place: int) -> int:
    return MARGIN + LABEL + place * (CELL + GAP)


# -- a row and its cells ----------------------------------------------------------------------------


def _row(cycles: Sequence[Cycle], name: str, y: int, tops: dict[str, float]) -> list[str]:
    parts = _label(summary.finding(cycles), name, y)
    for place, (stage, top) in enumerate(tops.items()):
        parts += _cell(cycles, stage, _left(place), y, top)
    return parts


def _label(found: Finding, name: str, y: int) -> list[str]:
    failed = found.up.trials - found.up.successes
    kind = "r" if failed else "d"
    return [
        _text(MARGIN, y + 16, name, "n w"),
        _text(MARGIN, y + 32, f"{found.up.successes}/{found.up.trials} up", kind),
        _text(MARGIN, y + 47, f"{100 * found.first_try.share:.1f} % at first", "d"),
    ]


def _cell(cycles: Sequence[Cycle], stage: str, x: int, y: int, top: float) -> list[str]:
    seconds = [cycle.stages[stage] for cycle in cycles if stage in cycle.stages]
    failed = [cycle for cycle in cycles if stage in _failed_in(cycle)]
    parts = [f'<rect class="c" x="{x}" y="{y}" width="{CELL}" height="{BAND + RUG}" rx="3"/>']
    parts.append(_dots(cycles, stage, x, y, top))
    parts.append(_rug(failed, stage, cycles, x, y))
    if seconds:
        middle, late = quantile(seconds, 0.5), quantile(seconds, 0.95)
        parts.append(f'<path class="m" d="M{x} {_height(middle, top, y):.1f}h{CELL}"/>')
        parts.append(_text(x, y + BAND + RUG + 13, f"{_number(middle)} s, p95 {_number(late)} s", "d"))
    if failed:
        parts.append(_text(x + CELL, y + BAND + RUG + 13, f"{len(failed)} ✕", "r e"))
    return parts


def _dots(cycles: Sequence[Cycle], stage: str, x: int, y: int, top: float) -> str:
    """Those that would lie on each other, to half a pixel, are drawn once."""
    places = {
        (round(2 * _across(c, cycles, x)), round(2 * _height(c.stages[stage], top, y)))
        for c in cycles
        if stage in c.stages
    }
    return f'<path class="t" d="{"".join(f"M{a / 2:g} {b / 2:g}h0" for a, b in sorted(places))}"/>'


def _rug(failed: Sequence[Cycle], stage: str, cycles: Sequence[Cycle], x: int, y: int) -> str:
    """A tick under each cycle with a failed attempt; through the whole cell where nothing helped."""
    bottom = y + BAND + RUG - 2
    ticks = {"a": "", "f": ""}
    for cycle in failed:
        kind, length = ("f", BAND + RUG - 4) if cycle.ended_in == stage else ("a", RUG - 5)
        ticks[kind] += f"M{_across(cycle, cycles, x):.1f} {bottom}v-{length}"
    return "".join(f'<path class="{kind}" d="{path}"/>' for kind, path in ticks.items() if path)


def _failed_in(cycle: Cycle) -> set[str]:
    """The stages in which something went wrong."""
    return {failure.stage for failure in cycle.failures} | ({cycle.ended_in} - {""})


def _across(cycle: Cycle, cycles: Sequence[Cycle], x: int) -> float:
    """From left to right by number."""
    last = max(cycles[-1].number, 2)
    return x + 4 + (CELL - 8) * (cycle.number - 1) / (last - 1)


def _height(seconds: float, top: float, y: int) -> float:
    return y + 3 + (BAND - 6) * (1 - min(seconds / top, 1.0))


def _number(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.2g}"
