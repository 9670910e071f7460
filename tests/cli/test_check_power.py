"""How slots are switched is found out as `run` would, and what is remembered stays as it is."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from terrible.cli import check
from terrible.cli.health import power
from terrible.cli.health.finding import Level
from terrible.config import Config
from terrible.errors import HostError
from terrible.power.client import PortHelper
from tests.mqtt.brokers import free_port

from .checking import Head


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Head:
    return Head(tmp_path, monkeypatch, free_port())


def told(capsys: pytest.CaptureFixture[str], what: str) -> list[str]:
    """The lines of one group, remedies with them."""
    text = capsys.readouterr().out.replace("\n                  -> ", " -> ")
    return [
        f"{line[:4].strip()}: {line[18:]}" for line in text.splitlines() if line[6:].startswith(f"{what} ")
    ]


def test_each_slot_with_its_backend_and_why(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    assert head.show() == 0
    lines = told(capsys, "power")
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        assert re.match(rf"ok: node{number} \(1-1\.{number}\): sysfs: \w", line)


def test_a_port_that_cannot_be_switched_is_a_warning_with_its_reason(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    head.hub.characteristics = 2
    assert head.show() == 0
    node2 = told(capsys, "power")[1]
    assert node2.startswith("warn: node2 (1-1.2): none: ")
    assert "cannot switch the power of its ports" in node2
    assert " -> a hub with per-port power switching" in node2


def test_what_loses_power_together_is_named(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    head.hub.characteristics = 0
    assert head.show() == 0
    assert told(capsys, "power")[0].endswith("; node2, node3, 1-1.4 lose power with it")


def test_a_hub_that_is_not_asked_by_root_or_its_group_says_so(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    head.hub.error = HostError("no permission to open the hub at 1-1")
    assert head.show() == 0
    assert all("no permission to open the hub at 1-1" in line for line in told(capsys, "power"))


def test_a_helper_that_answers(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    head.show()
    assert told(capsys, "helper") == ["ok: terrible-port answers"]


def test_a_helper_that_refuses_says_why(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    """The real one, with a configuration that does not name the slot."""
    head.helper.config.write_text("")
    assert head.show() == 0
    (line,) = told(capsys, "helper")
    assert line.startswith(
        "warn: terrible-port answers, but refuses: 1-1.1 is not the location of a slot in "
    )
    assert " -> " in line


def test_no_helper(tmp_path: Path) -> None:
    (slot,) = Config.model_validate({"slots": [{"name": "alpha", "location": "1-1.1"}]}).named_slots()
    found = asyncio.run(power.helper(PortHelper(tmp_path / "port.sock"), slot))
    assert found.level is Level.WARNING
    assert found.said.startswith(f"no answer from the helper at {tmp_path}/port.sock")
    assert found.remedy.startswith("sudo systemctl enable --now terrible-port.socket")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a helper of its own")
def test_the_helper_that_root_has_started_ends_with_the_check(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers for the real /sys, where this port is not."""
    assert check.main(head.config) == 0
    assert told(capsys, "helper")[0].startswith("warn: terrible-port answers, but refuses: ")
    assert not (head.top / "run/port.sock").exists()


def test_a_slot_that_nothing_switches_by_wish_needs_no_helper(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    head.config.write_text(head.config.read_text() + '[power]\nbackend = "none"\n')
    assert head.show() == 0
    text = capsys.readouterr().out
    assert "  helper  " not in text
    assert "warn  power       node1 (1-1.1): none: " in text


@pytest.mark.parametrize("content", ["", "{", "[]", '{"off": 1}'])
def test_a_damaged_memory_is_told_and_left_for_the_agent(
    head: Head, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = head.top / "state/state.json"
    file.write_text(content)
    assert head.show() == 0
    assert told(capsys, "state")[0].startswith(f"warn: {file} cannot be read: ")
    assert [path.name for path in file.parent.iterdir()] == ["state.json"]
    assert file.read_text() == content
