"""What follows from what a probe saw: one row for each way a port can behave."""

from __future__ import annotations

import json
from typing import Any

import pytest

from terrible.model import Stage
from terrible.power.verdict import TOO_SOON, Observed, judge, remembered

ROM, LOADER, GADGET, DISK, OTHER = Stage.ROM, Stage.LOADER, Stage.GADGET, Stage.DISK, Stage.OTHER


def seen(backend: str = "hub", **told: object) -> Observed:
    """A port that works, with a ROM in it, but for what is told."""
    usual = {"before": ROM, "after": ROM, "off": 0.1, "gone": 0.2, "back": 1.0}
    return Observed(backend, **{**usual, **told})  # type: ignore[arg-type]


EMPTY: dict[str, Any] = {"before": None, "after": None, "gone": None, "back": None}

TABLE = [
    ("a rom leaves and comes back", seen(), True, None, "did not show whether its 5 V went too"),
    ("a node comes back as ROM", seen(before=GADGET), True, True, "lost its power and came back as ROM"),
    ("so does a loader", seen(before=LOADER), True, True, "lost its power"),
    ("a disk", seen(before=DISK), True, True, "lost its power"),
    ("an empty port", seen(**EMPTY), True, None, "nothing was plugged in"),
    ("the bit never clears", seen(off=None), False, False, "never reported the port without power"),
    ("an empty port's bit never clears", seen(**EMPTY, off=None), False, False, "never reported"),
    ("nothing at all happens", seen(off=None, gone=None, answered=True), False, False, "kept answering"),
    ("bit without effect", seen(gone=None, answered=True), False, False, "kept answering, so its 5 V stay"),
    ("a node is back at once", seen(before=GADGET, after=GADGET), False, False, "its 5 V stay"),
    ("a loader too", seen(before=LOADER, after=LOADER, back=0.3), False, False, "back as LOADER 0.3 s after"),
    ("a node boots from its card", seen(before=GADGET, after=GADGET, back=TOO_SOON), True, None, "It works"),
    ("a rom is back at once", seen(back=0.1), True, None, "did not show"),
    ("the kernel re-powers", seen(repowered=4.0), True, None, "re-powered it after 4.0 s, so off has to be"),
    ("and wins", seen(repowered=4.0, held=False), False, None, "and again each time it was repeated"),
    ("lingering", seen(lingering=True), True, None, "kept the dead device listed"),
    ("nothing comes back", seen(back=None, after=None), True, None, "nothing has come back yet"),
    ("it was refused", seen(off=None, refused="no helper"), False, None, "It was not switched: no helper"),
    ("it stays dark", seen(stuck="no power"), False, None, "could not be switched on again: no power"),
    ("5 V behind the hub's back", seen("gpio", off=None), True, None, "It works"),
    ("a line that does nothing", seen("gpio", off=None, gone=None), False, False, "stayed on the bus"),
    ("a line and an empty port", seen("gpio", **EMPTY, off=None), True, None, "nothing was plugged in"),
    ("a line, and a node loses power", seen("gpio", off=None, before=GADGET), True, True, "lost its power"),
    ("sysfs keeps the 5 V", seen("sysfs", before=GADGET, after=GADGET), False, False, "its 5 V stay"),
]


@pytest.mark.parametrize(
    ("observed", "works", "cuts", "said"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_verdict(observed: Observed, works: bool, cuts: bool | None, said: str) -> None:
    verdict = judge(observed)
    assert (verdict.works, verdict.cuts) == (works, cuts)
    assert said in verdict.sentence
    assert verdict.sentence.startswith("It ")
    assert verdict.sentence.endswith(".")
    assert "\n" not in verdict.sentence


def test_the_gravest_fault_is_the_one_that_is_told() -> None:
    everything = seen(stuck="dark", refused="no", answered=True, off=None, held=False, gone=None)
    assert "could not be switched on again" in judge(everything).sentence


def test_an_empty_port_of_another_backend_promises_no_status_bit() -> None:
    assert "reported no power" not in judge(seen("gpio", **EMPTY, off=None)).sentence


def test_what_is_remembered_is_plain_json() -> None:
    kept = remembered(seen(before=GADGET, off=0.104, repowered=3.0, lingering=True), 1700000000.4, "6.1.0")
    assert json.loads(json.dumps(kept)) == kept
    assert kept == {
        "backend": "hub",
        "works": True,
        "cuts": True,
        "sentence": judge(seen(before=GADGET, repowered=3.0, lingering=True)).sentence,
        "off_seconds": 0.1,
        "gone_seconds": 0.2,
        "back_seconds": 1.0,
        "repowered": True,
        "lingering": True,
        "when": 1700000000,
        "kernel": "6.1.0",
    }
