"""`terrible soak` as a person runs it: its files, its last line, its exit code, and Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from terrible.cli.soak import Simulate, Soak, main
from terrible.cli.target import Where
from terrible.sim.faults import Kind
from terrible.soak.folder import Folder
from terrible.soak.run import Plan

FILES = {"cycles.csv", "report.md", "report.json", "plot.svg"}
PROGRAM = """
import sys
from pathlib import Path
from terrible.cli.soak import Simulate, Soak, main
from terrible.cli.target import Where
from terrible.sim.faults import Kind
from terrible.soak.run import Plan
out, cycles, chance = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
simulate = Simulate(2, 50.0, Kind.BOOTCODE_STALLS, chance)
sys.exit(main(Soak(Plan("all", cycles, None, False), Where(), out, simulate)))
"""


def start(out: Path, cycles: int, chance: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(out), str(cycles), str(chance)]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "cycles.csv").open() as lines:
        return list(csv.DictReader(lines))


def test_a_clean_run_exits_0_and_leaves_four_files_and_one_last_line(tmp_path: Path) -> None:
    out = tmp_path / "new" / "soak"
    running = start(out, 2, 0.0)
    said, complained = running.communicate(timeout=60)
    assert (running.returncode, complained) == (0, "")
    assert {path.name for path in out.iterdir()} == FILES
    assert said.splitlines()[-1].startswith("4/4 cycles up (simulated): 100.00 % (")
    assert sorted((row["slot"], row["cycle"]) for row in rows(out)) == [
        (f"node{slot}", str(number)) for slot in (1, 2) for number in (1, 2)
    ]


def test_failures_exit_1_and_are_named(tmp_path: Path) -> None:
    running = start(tmp_path, 1, 1.0)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert said.splitlines()[-1].startswith("0/2 cycles up")
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["diagnoses"] == [{"text": "the ROM stalled a transfer", "attempts": 6, "cycles": 2}]


def test_ctrl_c_leaves_a_complete_report(tmp_path: Path) -> None:
    running = start(tmp_path, 100_000, 0.0)
    assert running.stdout is not None
    seen = [running.stdout.readline() for _ in range(4)]
    assert len(rows(tmp_path)) >= 4, "lines are written as cycles end"
    running.send_signal(signal.SIGINT)
    said, complained = running.communicate(timeout=30)
    assert complained == ""
    assert all(": up in " in line for line in seen)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    counted = sum(row["outcome"] == "up" for row in rows(tmp_path))
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["total"]["up"]["trials"] == counted >= 4
    assert "Ended before 100000 cycles" in read["notes"][0]
    assert said.splitlines()[-1].startswith(f"{counted}/{counted} cycles up")
    assert running.returncode == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Soak(Plan("all", None, None, False), Where(), None, None), "--cycles or --hours"),
        (Soak(Plan("all", 1, 1.0, False), Where(), None, None), "--cycles or --hours"),
        (
            Soak(Plan("all", 1, None, False), Where("mqtt://x"), None, Simulate(1, 1.0, Kind.ROM_HANGS, 1.0)),
            "--simulate brings",
        ),
        (Soak(Plan("all", 1, None, False), Where("http://x"), None, None), "--broker"),
    ],
)
def test_arguments_that_make_no_sense_are_one_line_and_exit_2(
    asked: Soak, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked) == 2
    out, complaint = capsys.readouterr()
    assert out == ""
    assert said in complaint
    assert complaint.count("\n") == 1


def test_evidence_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cycles.csv").write_text("what an owner waited a night for")
    asked = Soak(Plan("all", 1, None, False), Where(), tmp_path, Simulate(1, 50.0, None, 0.0))
    assert main(asked) == 2
    assert "holds a soak already" in capsys.readouterr().err
    assert (tmp_path / "cycles.csv").read_text() == "what an owner waited a night for"
    assert Folder(tmp_path / "another").said == ""


def test_without_a_broker_it_says_so_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = Where("mqtt://127.0.0.1:1", "rack")
    assert main(Soak(Plan("all", 1, None, False), where, tmp_path / "out", None)) == 4
    complaint = capsys.readouterr().err
    assert "no way into the broker at mqtt://127.0.0.1:1:" in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "out").exists()
