"""`terrible flash` where it is asked for what cannot be, before anything is opened."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from terrible.cli import assemble, direct
from terrible.cli.outcome import complaints, outcome
from terrible.remote.heard import Response, Trouble
from terrible.remote.question import Question
from tests.mqtt import brokers

from .live import Terminal, ran

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


@pytest.mark.parametrize("asked", [("--no-wait",), ("--broker", "mqtt://head"), ("--cluster", "rack")])
def test_without_an_agent_nothing_is_said_of_one(asked: tuple[str, ...]) -> None:
    told = asyncio.run(ran(0, "flash", "--direct", "card.img", "node1", *asked))
    assert (told.code, told.out) == (2, "")
    assert "--direct asks none" in told.complaint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('hub = "1-1"\nports = 2\n', "files.mass_storage is missing; docs/flash.md tells which"),
        ('hub = "1-1"\nprts = 2\n', "prts: unknown key; "),
    ],
)
def test_a_configuration_that_cannot_be_used_is_asked_wrong(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "terrible.toml").write_text(text)
    asked = ("--direct", "card.img", "node1", "--config", str(tmp_path / "terrible.toml"))
    told = asyncio.run(ran(0, "flash", *asked))
    assert (told.code, told.out) == (2, "")
    assert why in told.complaint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs a terrible-disk of its own")
def test_a_configuration_that_anybody_may_change_is_refused_before_a_node_is_down(tmp_path: Path) -> None:
    (tmp_path / "terrible.toml").write_text(CONFIG)
    (tmp_path / "terrible.toml").chmod(0o666)
    asked = ("--direct", "card.img", "node1", "--config", str(tmp_path / "terrible.toml"))
    told = asyncio.run(ran(0, "flash", *asked))
    assert told.code == 2
    assert told.complaint.endswith("must be owned by root and writable by nobody else\n")


def test_a_terminal_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "terrible.toml").write_text(CONFIG)

    async def story() -> list[str]:
        config = str(tmp_path / "terrible.toml")
        terminal = Terminal(0, "flash", "--direct", "-", "node1", "--config", config)
        try:
            await terminal.until("pipe an image into it")
            await brokers.until(lambda: terminal.process.poll() is not None, why="it ends")
            assert terminal.process.returncode == 2
            return terminal.lines
        finally:
            terminal.close()

    assert "is a terminal" in asyncio.run(story())[0]


def test_ctrl_c_is_no_success_and_ends_the_agent_before_its_bus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "terrible.toml").write_text(CONFIG)
    ended: list[str] = []

    class Writing:
        async def run(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("agent")

    @asynccontextmanager
    async def agent(*_: object) -> AsyncIterator[Writing]:
        try:
            yield Writing()
        finally:
            ended.append("bus")

    monkeypatch.setattr(assemble, "agent", agent)
    assert direct.flash("card.img", "node1", tmp_path / "terrible.toml", (None, None), force=False) == 130
    said = capsys.readouterr()
    assert (said.out, ended) == ("", ["agent", "bus"])
    why = "interrupted: a card that was being written is not whole; flash it again"
    assert said.err == f"terrible: {why}\n"


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


def test_what_is_to_be_said_of_cards_comes_after_what_was_done() -> None:
    remarks = {
        "node1": "a Pi Zero or 3 starts from this card",
        "node2": "a Pi Zero or 3 starts from this card",
    }
    last = Response("1", ok=True, status="done", data={"slots": [], "remarks": remarks})
    question = Question("flash", "all", meant=("node1", "node2"), last=last)
    assert outcome(question) == [
        "flash done: node1, node2",
        "node1, node2: but a Pi Zero or 3 starts from this card",
    ]
