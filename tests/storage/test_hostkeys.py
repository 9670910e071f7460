"""Host keys are made once, by the real ssh-keygen, and known_hosts lines are what the real ssh takes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from terrible.errors import HostError
from terrible.model import Location, Slot
from terrible.storage.hostkeys import NAME, ensure, known_hosts

SLOT = Slot("node2", 2, Location("1-1.2"), "02:00:00:00:00:02", "02:00:00:00:01:02", "10.42.0.12")


def test_a_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    first = ensure(tmp_path / "keys", "node2")
    assert ensure(tmp_path / "keys", "node2") == first
    assert ensure(tmp_path / "keys", "node3") != first
    for path in (tmp_path / "keys", tmp_path / "keys/node2", tmp_path / "keys/node2" / NAME):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["node2", "node3"]


def test_a_key_is_on_disk_before_a_card_may_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut an empty file would be no key, and a new one not that of the card."""
    synced, real = [], os.fsync

    def fsync(fd: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    ensure(tmp_path / "keys", "node2")
    assert synced == [NAME, f"{NAME}.pub", "key", "keys"]


def test_known_hosts_name_every_name_of_a_slot(tmp_path: Path) -> None:
    ensure(tmp_path, "node2")
    slots = [SLOT, replace(SLOT, name="node3", address="10.42.0.13")]
    (line,) = known_hosts(slots, tmp_path, "lan")
    (tmp_path / "known_hosts").write_text(line + "\n")
    for name in ("node2", "node2.lan", "10.42.0.12"):
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", str(tmp_path / "known_hosts")], capture_output=True, check=False
        )
        assert found.returncode == 0, name
    assert "node3" not in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_what_root_makes_is_the_agents_who_owns_the_state_directory() -> None:
    """`sudo terrible flash --direct` on a head whose service goes on with the same keys."""
    with tempfile.TemporaryDirectory() as state:  # not tmp_path, which is closed to other users
        os.chown(state, 65534, 65534)
        ensure(Path(state, "host-keys"), "node2")
        made = list(Path(state).rglob("*"))
        assert len(made) == 4
        assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(65534, 65534)}


def test_without_ssh_keygen_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("ssh-keygen") is None
    with pytest.raises(HostError, match="apt install openssh-client"):
        ensure(tmp_path / "keys", "node2")
    assert list((tmp_path / "keys").iterdir()) == [], "nothing half made is left"
