"""One owner of USB: the lock among real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from terrible import lock
from terrible.errors import HostError

ROOT = Path(__file__).parent.parent
HOLDER = """
import pathlib, sys
from terrible import lock
from terrible.errors import HostError
lock.RUN = pathlib.Path(sys.argv[1])
try:
    with lock.owner():
        print("held", flush=True)
        sys.stdin.read()
except HostError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in the place of /run/terrible, for this process and its children."""
    monkeypatch.setattr(lock, "RUN", tmp_path / "run")
    return tmp_path / "run"


def start(run: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def holder(run: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with start(run) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_which_is_the_first(run: Path) -> None:
    with holder(run) as first:
        with start(run) as second:
            out, err = second.communicate(timeout=30)
        assert second.returncode == 1
        assert out == ""
        assert err == (f"another terrible is running (process {first.pid}, {run}/lock); stop it first\n")
        with pytest.raises(HostError, match=rf"\(process {first.pid}, {re.escape(str(run))}/lock\)"):
            with lock.owner():
                raise AssertionError
        assert (run / "lock").read_text() == f"{first.pid}\n", "whoever is refused leaves it as it is"


def test_the_death_of_the_holder_frees_it(run: Path) -> None:
    with holder(run) as first:
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=30)
        with lock.owner():
            assert (run / "lock").read_text() == f"{os.getpid()}\n"


def test_it_is_free_again_after_the_block_even_after_an_error(run: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.owner():
        raise ZeroDivisionError
    with lock.owner(), pytest.raises(HostError, match=f"process {os.getpid()}"):
        with lock.owner():
            raise AssertionError


def test_a_child_of_the_holder_does_not_keep_it(run: Path) -> None:
    with lock.owner():
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with lock.owner():
            pass
    finally:
        child.kill()
        child.wait(timeout=30)


def test_a_lock_that_cannot_be_opened_names_the_remedy(run: Path) -> None:
    (run / "lock").mkdir(parents=True)
    with pytest.raises(HostError, match=r"lock: Is a directory; run as root or as the user terrible"):
        with lock.owner():
            raise AssertionError


def test_a_lock_that_another_user_has_left_can_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory() as place:  # not tmp_path, which is closed to other users
        monkeypatch.setattr(lock, "RUN", Path(place))
        Path(place, "lock").touch(mode=0)
        with nobody(place), pytest.raises(HostError, match=rf"Permission denied; .*: sudo rm {place}/lock$"):
            with lock.owner():
                raise AssertionError


def test_a_link_in_its_place_leads_to_no_other_file(run: Path) -> None:
    """Root takes the lock in a directory of the agent's user, to whom it then gives the file."""
    run.mkdir()
    (run / "shadow").write_text("root")
    (run / "lock").symlink_to("shadow")
    with pytest.raises(HostError, match="symbolic links"), lock.owner():
        raise AssertionError
    assert (run / "shadow").read_text() == "root"


@contextmanager
def nobody(place: str) -> Iterator[None]:
    """Where the tests run as root: without its rights, in a place of one's own."""
    root = os.geteuid() == 0
    if root:
        os.chown(place, 65534, 65534)
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_where_run_cannot_be_made_the_user_has_a_private_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RUN", tmp_path / "no parent" / "terrible")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    assert lock.directory().is_relative_to(tmp_path / "user")
    assert lock.directory().stat().st_mode & 0o077 == 0


def test_a_user_with_a_private_place_respects_the_service(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "user"
    private.mkdir()
    with holder(run) as first:
        monkeypatch.setattr(lock, "directory", lambda: private)
        with pytest.raises(HostError, match=rf"\(process {first.pid}, {re.escape(str(run))}/lock\)"):
            with lock.owner():
                raise AssertionError
    with lock.owner():
        assert (private / "lock").read_text() == f"{os.getpid()}\n"
