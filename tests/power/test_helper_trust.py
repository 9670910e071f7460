"""Whom and what `terrible-port` trusts: its configuration, its callers, and the files it writes."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

import pytest

from .process import GOOD, Helper, answer
from .tree import Tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files and processes away")


def test_a_configuration_is_read_afresh(helper: Helper) -> None:
    with helper.running():
        assert helper.disable("1-1.3", 1)["ok"] is True
        helper.config.write_text('hub = "1-1"\nports = 2\n')
        assert helper.disable("1-1.3", 1)["ok"] is False
        helper.config.write_text("hub = ")
        assert "terrible.toml" in helper.disable("1-1.2", 1)["error"]
        helper.config.unlink()
        assert "terrible.toml" in helper.disable("1-1.2", 1)["error"]
        helper.config.write_text('hub = "1-1"\nports = 2\n')
        assert helper.disable("1-1.2", 1)["ok"] is True


@needs_root
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_configuration_that_others_can_write(helper: Helper, mode: int) -> None:
    helper.config.chmod(mode)
    with helper.running():
        assert "owned by root and writable by nobody else" in helper.disable("1-1.2", 1)["error"]


@needs_root
def test_a_configuration_of_another_user(helper: Helper) -> None:
    os.chown(helper.config, 65534, 0)
    with helper.running():
        assert "owned by root" in helper.disable("1-1.2", 1)["error"]


def test_its_own_socket_is_private(helper: Helper) -> None:
    with helper.running():
        assert stat.S_IMODE(helper.socket.stat().st_mode) == 0o600


def test_a_socket_from_systemd(helper: Helper, tree: Tree) -> None:
    with helper.from_systemd() as address:
        assert helper.disable("1-1.2", 1, to=address) == {"ok": True, "value": 1}
    assert tree.disable("1-1.2").read_text().strip() == "1"


@needs_root
def test_another_user_is_refused(helper: Helper, tree: Tree) -> None:
    """The uid that counts is the one at connect()."""
    with helper.from_systemd() as address:
        os.seteuid(65534)
        try:
            connection = helper.connect(address)
        finally:
            os.seteuid(0)
        with connection:
            connection.sendall(GOOD + b"\n")
            assert answer(connection) == {"ok": False, "error": "uid 65534 is neither root nor terrible"}
    assert tree.disable("1-1.2").read_text() == "0\n"


@pytest.mark.parametrize("what", ["fifo", "directory", "link", "link of the port", "foreign link", "absent"])
def test_only_a_plain_attribute_is_written(helper: Helper, tree: Tree, tmp_path: Path, what: str) -> None:
    path, outside = tree.disable("1-1.2"), tmp_path / "outside"
    outside.mkdir()
    (outside / "disable").write_text("0\n")
    path.unlink()
    match what:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to(tree.disable("1-1.4"))
        case "link of the port":
            shutil.rmtree(path.parent)
            path.parent.symlink_to(tree.disable("1-1.4").parent)
        case "foreign link":
            interface = tree.root / "bus/usb/devices/1-1:1.0"
            interface.unlink()
            interface.symlink_to(outside)
            (outside / "1-1-port2").mkdir()
            (outside / "1-1-port2/disable").write_text("0\n")
    with helper.running():
        error = helper.disable("1-1.2", 1)["error"]
        assert re.search("is not there|is not an attribute of a USB port", error)
        assert helper.disable("1-2", 1)["ok"] is True
    for file in (tree.disable("1-1.4"), outside / "disable", outside / "1-1-port2/disable"):
        assert not file.exists() or file.read_text() == "0\n"
