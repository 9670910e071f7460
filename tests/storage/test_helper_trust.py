"""Whom and what `terrible-disk` trusts, and how little it may itself."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Loop, needs_loop, number
from .process import GOOD, Helper, refused, told

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files and processes away")


@needs_root
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_configuration_that_others_can_write(helper: Helper, mode: int) -> None:
    helper.config.chmod(mode)
    helper.head.pi()
    with helper.running():
        assert "owned by root and writable by nobody else" in helper.refusal("open", "node2")


@needs_root
def test_a_configuration_of_another_user(helper: Helper) -> None:
    os.chown(helper.config, 65534, 0)
    helper.head.pi()
    with helper.running():
        assert "owned by root" in helper.refusal("open", "node2")


def test_its_own_socket_is_private(helper: Helper) -> None:
    with helper.running():
        assert stat.S_IMODE(helper.socket.stat().st_mode) == 0o600


@needs_loop
def test_a_socket_from_systemd(real_helper: Helper, loop: Loop) -> None:
    real_helper.head.pi()
    with real_helper.from_systemd() as address, real_helper.ask("open", "node2", to=address) as answer:
        assert number(Path(f"/proc/self/fd/{answer.descriptors[0]}")) == loop.number


@needs_loop
def test_another_user_is_refused(real_helper: Helper) -> None:
    """The uid that counts is the one at connect()."""
    real_helper.head.pi()
    with real_helper.from_systemd() as address:
        os.seteuid(65534)
        try:
            connection = real_helper.connect(address)
        finally:
            os.seteuid(0)
        with connection:
            connection.sendall(GOOD + b"\n")
            assert refused(told(connection)) == "uid 65534 is neither root nor terrible"


def test_without_a_socket_it_says_so(helper: Helper) -> None:
    command = [sys.executable, "-m", "terrible", "disk-helper", "--config", str(helper.config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "systemd passed no socket" in ended.stderr


@needs_loop
@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv here")
def test_root_without_capabilities_is_enough(real_helper: Helper) -> None:
    """As its unit has it: the disk belongs to root, and what others have mounted is nobody's secret."""
    real_helper.under = ["setpriv", "--bounding-set=-all", "--no-new-privs"]
    real_helper.head.pi()
    with real_helper.running() as process:
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{process.pid}/status").read_text()
        with real_helper.ask("open", "node2") as answer:
            assert answer.answer["ok"] is True
