"""`terrible check` as a newcomer sees it: the whole screen, its exit code, and what it never does."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrible import lock
from terrible.cli import check
from tests.mqtt.brokers import Mosquitto, free_port

from .checking import Head

ROOT = Path(__file__).parents[2]
CHECK = "from pathlib import Path; from terrible.cli import check; raise SystemExit(check.main"
BEFORE = "import concurrent.futures.thread, encodings.idna, os; os.setgroups([])"
"""What is imported late must be there already: root's own Python may be closed to others."""
LINE = re.compile(r"(ok  |note|warn|FAIL)  [a-z]+ +\S.*|      {12}-> \S.*|terrible run would .*")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    asyncio.run(mosquitto.start())
    yield mosquitto
    asyncio.run(mosquitto.kill())


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: Mosquitto) -> Head:
    return Head(tmp_path / "head", monkeypatch, broker.port)


def told(capsys: pytest.CaptureFixture[str], what: str) -> list[str]:
    """The lines of one group, each without its name."""
    lines = capsys.readouterr().out.splitlines()
    return [f"{line[:4].strip()}: {line[18:]}" for line in lines if line[6:].startswith(f"{what} ")]


def test_a_head_on_which_all_is_well(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    code = head.show()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(("warn", "FAIL"))] == []
    assert code == 0
    assert lines[-1] == "terrible run would work: no warnings"
    assert not [line for line in lines if not LINE.fullmatch(line)]
    groups = [line[6:17].strip() for line in lines[:-1]]
    assert list(dict.fromkeys(groups)) == [
        "versions", "libusb", "user", "udev", "programs", "config", "state", "memory", "hub", "rights",
        "helper", "power", "network", "template", "bootcode", "file", "broker",
    ]  # fmt: skip


def test_no_broker_is_a_warning_for_boots_go_on(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    head.config.write_text(re.sub(r"port = \d+", f"port = {port}", head.config.read_text()))
    head.config.write_text(head.config.read_text().replace(f"ports = {port}", "ports = 3"))
    assert head.show() == 0
    out = capsys.readouterr().out
    assert f"warn  broker      no broker at mqtt://127.0.0.1:{port}: " in out
    assert "boots go on without a broker" in out
    assert out.splitlines()[-1] == "terrible run would work: 1 warning"


def test_a_bad_configuration_is_78_and_the_machine_is_told_all_the_same(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    head.config.write_text('hub = "1-1"\nports = 4\nprts = 1\n[mqtt]\nprt = 2\n')
    assert head.show() == 78
    lines = capsys.readouterr().out.splitlines()
    wrong = [line for line in lines if line.startswith("FAIL")]
    assert wrong[0].startswith(f"FAIL  config      {head.config}: mqtt.prt: unknown key; allowed here: host")
    assert wrong[1].startswith(f"FAIL  config      {head.config}: prts: unknown key")
    assert len(wrong) == 2
    assert [line[6:10] for line in lines if line.startswith("ok    hub ")] == ["hub "] * 3


def test_a_password_that_cannot_be_read_is_78_as_for_run(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    head.config.write_text(head.config.read_text() + 'username = "u"\npassword_file = "/nonexistent/pw"\n')
    assert head.show() == 78
    assert told(capsys, "config") == ["FAIL: mqtt.password_file: /nonexistent/pw: No such file or directory"]


def test_no_configuration_is_fine(
    head: Head, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRIBLE_FILES__DIRECTORY", str(head.boot))
    monkeypatch.setenv("TERRIBLE_CLUSTER", "lab")
    assert check.main(None) == 0
    out = capsys.readouterr().out
    assert "ok    config      no file: cluster lab, serves any Pi, switches no power" in out
    assert "note  power       no slots are configured, so no power is switched" in out
    assert "ok    bootcode    any-pi: bootcode.bin from base" in out


def test_a_template_that_cannot_be_filled_in_stops_its_slot(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    (head.boot / "node2").mkdir()
    bad = head.boot / "node2/config.txt.template"
    bad.write_text("arm_64bit=1\nx=${slot.name}\ny=${colour}\n")
    assert head.show() == 1
    first, second = told(capsys, "template")
    assert first.startswith(f"FAIL: {bad}: line 2: a dollar sign that begins no variable")
    assert second.startswith(f"FAIL: {bad}: line 3: unknown variable ${{colour}}; known are name, number")


def test_an_agent_that_runs_is_named_and_hubs_are_left_to_it(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock.owner():
        assert head.show() == 1
    lines = capsys.readouterr().out.splitlines()
    other = f"another terrible is running (process {os.getpid()}, {head.top}/run/lock)"
    assert f"FAIL  agent       {other}" in lines
    assert [line for line in lines if line.startswith("note  power")] != []
    assert [line for line in lines if line.startswith("FAIL")] == [f"FAIL  agent       {other}"]
    assert [line for line in lines if line.startswith("ok    hub")] != [], "what needs no USB is told"


def test_the_lock_is_free_afterwards_and_its_file_the_agents(head: Head) -> None:
    if os.geteuid() == 0:
        os.chown(head.top / "run", 12345, 12345)
    head.show()
    with lock.owner():
        pass
    ours, place = (head.top / "run/lock").stat(), (head.top / "run").stat()
    assert (ours.st_uid, ours.st_gid) == (place.st_uid, place.st_gid)


def test_a_reader_that_has_seen_enough_changes_no_exit_code(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("x")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", f"{CHECK}(Path({str(bad)!r})))"],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (78, b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_gets_the_whole_screen() -> None:
    command = [sys.executable, "-c", f"{BEFORE}; {CHECK}(os.setgid(65534) or os.setuid(65534)))"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode in (0, 1), ended.stderr) == (True, "")
    assert "(uid 65534)" in ended.stdout
    assert "the check itself failed" not in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("terrible run would ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_so_does_one_who_may_not_look_into_the_agents_directories() -> None:
    with tempfile.TemporaryDirectory() as place:  # not tmp_path, which is closed to other users
        os.chmod(place, 0o755)
        for name in ("state", "boot", "msd", "images"):
            Path(place, name).mkdir(mode=0o700)
            Path(place, name, "state.json").write_text('{"v": 1, "off": []}')
        config = Path(place, "terrible.toml")
        files = f'directory = "{place}/boot"\nmass_storage = "{place}/msd"\nimages = "{place}/images"\n'
        config.write_text(f'hub = "1-1"\nports = 1\nstate_directory = "{place}/state"\n[files]\n{files}')
        become = f"(os.setgid(65534) or os.setuid(65534) or Path({str(config)!r})))"
        ended = subprocess.run(
            [sys.executable, "-c", f"{BEFORE}; {CHECK}{become}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "the check itself failed" not in ended.stdout
    assert f"{place}/state cannot be written" in ended.stdout


def test_a_machine_without_usb_gets_the_whole_screen(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    for device in (head.tree.root / "bus/usb/devices").iterdir():
        device.unlink()
    assert head.show() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == [
        "FAIL  usb         this machine has no USB host controller"
    ]
    assert lines[-1] == "terrible run would not work: 1 error to solve first, no warnings"
