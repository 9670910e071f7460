"""A soak as text: a CSV line per cycle, a page for people, the same as JSON, and one line. [pure]"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from terrible.soak import summary
from terrible.soak.record import STAGES, Cycle
from terrible.soak.summary import Finding, Rate, Spread

COLUMNS = (
    *("cycle", "slot", "started", "outcome", "attempts", "seconds"),
    *(f"{stage}_s" for stage in STAGES),
    *("failed_in", "attempts_failed", "ended_in", "diagnosis", "firmware"),
)


@dataclass(frozen=True, slots=True)
class About:
    """What was tested, on what, and when. Times are Unix seconds; `kernel` is the head's, if known.

    `simulated` says how, and is empty where the Pis were real.
    """

    cluster: str
    slots: tuple[str, ...]
    plan: str
    host: str
    version: str
    kernel: str
    simulated: str
    started: float
    ended: float
    notes: tuple[str, ...] = ()


def csv_line(cycle: Cycle) -> str:
    """One line of cycles.csv, under COLUMNS. Lists within a field are separated by bars."""
    return _csv(
        [
            cycle.number,
            cycle.slot,
            _time(cycle.started),
            cycle.outcome,
            cycle.attempts,
            cycle.seconds,
            *(cycle.stages.get(stage, "") for stage in STAGES),
            "|".join(failure.stage for failure in cycle.failures),
            "|".join(failure.diagnosis for failure in cycle.failures),
            cycle.ended_in,
            cycle.diagnosis,
            "|".join(f"{name}={sha256}" for name, sha256 in sorted(cycle.firmware.items())),
        ]
    )


def csv_head() -> str:
    """The first line of cycles.csv."""
    return _csv(COLUMNS)


def progress(cycle: Cycle) -> str:
    """A cycle in one line, as it ends."""
    tries = f", {cycle.attempts} attempts" if cycle.attempts > 1 else ""
    why = f": {cycle.diagnosis}" if cycle.diagnosis else ""
    return f"{cycle.slot} {cycle.number}: {cycle.outcome} in {cycle.seconds:.1f} s{tries}{why}"


def line(cycles: Sequence[Cycle], about: About) -> str:
    """The whole soak in one line."""
    found = summary.finding(cycles)
    interrupted = f", {found.interrupted} interrupted" if found.interrupted else ""
    simulated = " (simulated)" if about.simulated else ""
    return (
        f"{_of(found.up)} cycles up{simulated}: {_percent(found.up)}; "
        f"{_of(found.first_try)} at the first attempt{interrupted}"
    )


def page(cycles: Sequence[Cycle], about: About) -> str:
    """report.md."""
    found = summary.finding(cycles)
    slots = summary.by_slot(cycles, about.slots)
    parts = [_head(about), _rates(found), _slots(slots), _durations(found, slots)]
    parts += [_diagnoses(cycles), _firmware(cycles), "![every cycle](plot.svg)"]
    return "\n\n".join(part for part in parts if part) + "\n"


def document(cycles: Sequence[Cycle], about: About) -> str:
    """report.json; a number that is not there is null."""
    tree = {
        "v": 1,
        **asdict(about),
        "total": asdict(summary.finding(cycles)),
        "by_slot": {name: asdict(f) for name, f in summary.by_slot(cycles, about.slots).items()},
        "diagnoses": [asdict(diagnosis) for diagnosis in summary.diagnoses(cycles)],
        "firmware": [
            {"name": name, "sha256": sha256, "cycles": count}
            for (name, sha256), count in summary.firmware(cycles).items()
        ],
    }
    return json.dumps(_finite(tree), indent=2, allow_nan=False) + "\n"


# -- parts of the page ------------------------------------------------------------------------------


def _head(about: About) -> str:
    rows = [
        f"{', '.join(about.slots)}; {about.plan}; {_time(about.started)} to {_time(about.ended)}.",
        f"Head {about.host}, terrible {about.version}, Linux {about.kernel or 'unknown'}.",
    ]
    if about.simulated:
        rows.insert(0, f"**Simulated Pis** ({about.simulated}): no figure here is from a Raspberry Pi.")
    rows += [f"- {note}" for note in about.notes]
    return "\n".join([f"# Soak of {about.cluster}", "", *rows])


def _rates(found: Finding) -> str:
    rows = [
        f"- Up again: {_of(found.up)}, {_percent(found.up)}.",
        f"- At the first attempt: {_of(found.first_try)}, {_percent(found.first_try)}.",
        f"- Attempts needed: {', '.join(f'{n}: {count}' for n, count in found.attempts.items()) or 'none'}.",
    ]
    if found.up.failures_below is not None:
        bound = f"{100 * found.up.failures_below:.2g} %"
        rows.append(f"- No cycle failed: at 95 %, fewer than {bound} do (rule of three).")
    if found.interrupted:
        rows.append(f"- {found.interrupted} interrupted, from outside or by the end; they are not counted.")
    return "\n".join(rows)


def _slots(slots: dict[str, Finding]) -> str:
    rows = [
        [name, _of(f.up), _percent(f.up), _percent(f.first_try), str(f.interrupted)]
        for name, f in slots.items()
    ]
    return _table(["slot", "up", "rate (95 %)", "first attempt (95 %)", "interrupted"], rows)


def _durations(found: Finding, slots: dict[str, Finding]) -> str:
    stages = list(found.stages)
    rows = [
        [name, _pair(f.cycle), *(_pair(f.stages[s]) if s in f.stages else "" for s in stages)]
        for name, f in [*slots.items(), ("all", found)]
    ]
    head = ["median / p95, s", "cycle", *stages]
    return "Of the attempt that came up; a cycle is all from the request.\n\n" + _table(head, rows)


def _diagnoses(cycles: Sequence[Cycle]) -> str:
    rows = [[d.text or "(none)", str(d.attempts), str(d.cycles)] for d in summary.diagnoses(cycles)]
    return _table(["diagnosis", "attempts failed", "cycles failed"], rows) if rows else ""


def _firmware(cycles: Sequence[Cycle]) -> str:
    found = summary.firmware(cycles).items()
    rows = [[name, f"`{sha256}`", str(count)] for (name, sha256), count in found]
    return _table(["firmware", "sha256", "cycles"], rows) if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ["---"] + ["--:"] * (len(head) - 1)
    cells = ([" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in [head, align, *rows])
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


# -- words ------------------------------------------------------------------------------------------


def _of(rate: Rate) -> str:
    return f"{rate.successes}/{rate.trials}"


def _percent(rate: Rate) -> str:
    if not rate.trials:
        return "nothing was tried"
    return f"{100 * rate.share:.2f} % ({100 * rate.low:.2f} … {100 * rate.high:.2f})"


def _pair(spread: Spread) -> str:
    return f"{_seconds(spread.median)} / {_seconds(spread.p95)}" if spread.count else ""


def _seconds(seconds: float) -> str:
    """As exact as a transcript is."""
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.3f}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _csv(fields: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


def _finite(tree: Any) -> Any:
    """JSON has no NaN."""
    match tree:
        case dict():
            return {str(key): _finite(value) for key, value in tree.items()}
        case list() | tuple():
            return [_finite(value) for value in tree]
        case float() if math.isnan(tree):
            return None
    return tree
