"""`terrible ssh-known-hosts`: by whoever logs in to nodes, who is rarely the agent."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrible.cli import knownhosts, settings
from terrible.config import FilesConfig
from terrible.configfile import load
from terrible.storage.hostkeys import NAME, ensure
from terrible.usb.bootfiles import Missing

FILE = 'cluster = "rack"\nhub = "1-1"\nports = 2\nsubnet = "10.42.0.1/24"\nstate_directory = "{state}"\n'


@pytest.fixture
def head() -> Iterator[Path]:
    """A configuration and a state directory; not in tmp_path, which is closed to other users."""
    with tempfile.TemporaryDirectory() as made:
        base = Path(made)
        base.chmod(0o755)
        (base / "state").mkdir()
        (base / "terrible.toml").write_text(FILE.format(state=base / "state"))
        yield base


def test_the_heads_own_configuration_is_the_default(
    head: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(knownhosts, "STANDARD", head / "terrible.toml")
    assert knownhosts.main(None) == 1
    assert "no slot has a key yet" in capsys.readouterr().err
    ensure(head / "state" / ".host-keys", "node2")
    assert knownhosts.main(None) == 0
    assert capsys.readouterr().out.startswith("node2,node2.rack.internal,10.42.0.12 ssh-ed25519 ")


@pytest.mark.skipif(os.geteuid() != 0, reason="is nobody already")
def test_who_may_not_read_the_keys_is_told_who_may_and_changes_nothing(head: Path) -> None:
    ensure(head / "state" / ".host-keys", "node2")
    memory = head / "state" / "state.json"
    memory.write_text('{"v": 1, "off": []}')
    memory.chmod(0o600)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom terrible.cli import knownhosts\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"sys.exit(knownhosts.main(Path({str(head / 'terrible.toml')!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("terrible: ")
    assert done.stderr.endswith("Permission denied; ask as root or as the agent's user\n")
    assert done.stderr.count("\n") == 1
    assert shutil.which("ssh-keygen") and memory.exists()


def test_no_node_is_served_a_key_wherever_the_boot_files_are(head: Path) -> None:
    """Not even its own: what is served can be asked for by any Pi that is put into the slot."""
    config = load(head / "terrible.toml")
    config = config.model_copy(update={"files": FilesConfig(directory=config.state_directory)})
    keys, slots = settings.host_keys(config), config.named_slots()
    ensure(keys, "node2")
    files = settings.files(config, slots)
    name = f"{keys.name}/node2/{NAME}"
    assert (config.files.directory / name).exists()
    for slot in slots:
        for asked in (name, f"./{name}", name.upper(), f"node2/../{name}"):
            assert isinstance(asyncio.run(files.find(slot, "2710", asked)), Missing)
