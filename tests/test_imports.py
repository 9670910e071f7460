"""The agent of a Pi Zero starts light: what it never needs is never imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMPORTED = "import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
TERMINAL = {"typer", "rich", "click", "amqtt"}
EXPORTER = {"prometheus_client"}
DEVELOPMENT = {"pytest", "hypothesis", "mypy"}
SETTINGS = {"pydantic", "aiomqtt", "paho"}


def imported_by(module: str) -> set[str]:
    """The top-level packages in a fresh process after one import."""
    command = [sys.executable, "-c", IMPORTED.format(module=module)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return set(ended.stdout.split())


@pytest.mark.parametrize("module", ["terrible.__main__", "terrible.cli.run", "terrible.cli.assemble"])
def test_the_agent_imports_nothing_of_the_terminal(module: str) -> None:
    imported = imported_by(module)
    assert "terrible" in imported
    assert imported & (TERMINAL | EXPORTER | DEVELOPMENT) == set()


def test_the_command_line_works_without_what_only_the_exporter_needs() -> None:
    assert imported_by("terrible.cli.app") & EXPORTER == set()


def test_serve_needs_neither_configuration_nor_broker() -> None:
    assert imported_by("terrible.cli.serve") & (TERMINAL | DEVELOPMENT | SETTINGS) == set()


@pytest.mark.parametrize("module", ["terrible.power.helper", "terrible.storage.helper"])
def test_a_helper_of_root_imports_next_to_nothing(module: str) -> None:
    foreign = TERMINAL | DEVELOPMENT | SETTINGS | {"usb1", "asyncio"}
    assert imported_by(module) & foreign == set()


def test_the_start_imports_no_command_before_it_knows_which() -> None:
    assert imported_by("terrible.__main__") & (SETTINGS | {"usb1", "asyncio"}) == set()


def test_the_agent_brings_no_simulator_along() -> None:
    command = "import sys, terrible.cli.assemble; print(*(n for n in sys.modules if 'terrible.sim' in n))"
    ended = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.split() == []
