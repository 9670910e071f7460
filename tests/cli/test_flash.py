"""`terrible flash` where it is asked for what cannot be, before anything is opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrible.cli.outcome import complaints
from terrible.remote.heard import Response, Trouble
from terrible.remote.question import Question

from .live import ran

DIGEST = "5f" * 32
CONFIG = 'hub = "1-1"\nports = 2\n[files]\nmass_storage = "/usr/share/rpiboot/msd"\n'


@pytest.mark.parametrize("named", [("--bmap", "card.bmap"), ("--sha256", DIGEST)])
def test_over_mqtt_nothing_is_named_but_the_image(named: tuple[str, str]) -> None:
    told = asyncio.run(ran(1, "flash", "card.img", "node1", *named))
    assert (told.code, told.out) == (2, "")
    assert told.complaint.startswith("terrible: --bmap and --sha256 go with --direct; over MQTT")


def test_a_digest_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "terrible.toml").write_text(CONFIG)
    asked = ("--direct", "--sha256", "card.img.sha256", "--config", str(tmp_path / "terrible.toml"))
    told = asyncio.run(ran(1, "flash", "card.img", "node1", *asked))
    assert told.code == 2
    assert told.complaint.startswith("terrible: --sha256: 'card.img.sha256' is not 64 hexadecimal digits")


def test_what_is_wrong_with_several_slots_alike_is_one_line() -> None:
    cut = {"code": "not_flashed", "message": "card.img is cut off"}
    failed = {
        "node1": cut,
        "node3": {"code": "busy", "message": "another operation is running"},
        "node2": cut,
    }
    last = Response("1", ok=False, status="error", data={"failed": failed}, error=Trouble("not_flashed", "…"))
    question = Question("flash", "all", last=last)
    assert complaints(question) == [
        "node1, node2: card.img is cut off",
        "node3: another operation is running; wait until it is over; terrible watch shows it",
    ]
