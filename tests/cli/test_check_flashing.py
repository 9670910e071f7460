"""What `check` says of writing cards before anybody writes one."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrible import lock
from terrible.cli.health import flashing
from terrible.cli.health.finding import Level
from terrible.config import Config, FilesConfig
from terrible.storage.images import programs
from tests.test_lock import nobody


@pytest.fixture
def base() -> Iterator[Path]:
    """Not tmp_path, which is closed to other users."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        yield Path(place)


@pytest.fixture
def config(base: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A head that lacks nothing; `xz`, `gzip` and `zstd` are anything that can be run."""
    for name in ("msd", "images", "bin", "run"):
        (base / name).mkdir()
    (base / "msd" / "bootcode.bin").write_bytes(b"first stage")
    for program in ("xz", "gzip", "zstd"):
        (base / "bin" / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(base / "bin"))
    monkeypatch.setattr(lock, "RUN", base / "run")
    files = FilesConfig(mass_storage=base / "msd", images=base / "images")
    return Config(hub="1-1", ports=2, files=files)


def told(config: Config, path: Path | None = None) -> list[tuple[Level, str]]:
    """Without the directory that it is all in."""
    where = f"{config.files.images.parent}/"
    return [(finding.level, finding.said.replace(where, "")) for finding in flashing.findings(config, path)]


SHOWN = [(Level.OK, "node1, node2: bootcode.bin from base of msd shows it")]


def test_a_head_that_lacks_nothing(config: Config) -> None:
    assert told(config) == SHOWN


def test_a_head_that_writes_no_cards_needs_none_of_it(config: Config) -> None:
    files = config.files.model_copy(update={"mass_storage": None, "images": Path("/nowhere")})
    assert told(config.model_copy(update={"files": files})) == []


def test_the_firmware_of_a_pi_4_lies_in_an_archive(config: Config, base: Path) -> None:
    """As usbboot's mass-storage-gadget64 has it: bootfiles.bin, boot.img, config.txt."""
    (base / "msd" / "bootcode.bin").unlink()
    with tarfile.open(base / "msd" / "bootfiles.bin", "w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("2711/bootcode4.bin")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"code"))
    assert told(config) == [(Level.OK, "node1, node2: bootcode4.bin from bootfiles.bin of msd shows it")]


def test_a_directory_without_firmware(config: Config, base: Path) -> None:
    (base / "msd" / "bootcode.bin").unlink()
    (level, said), _ = told(config)
    assert level is Level.WARNING
    assert said.startswith("node1: bootcode.bin is missing") and said.endswith("base is msd)")


def test_no_directory_of_images(config: Config, base: Path) -> None:
    (base / "images").rmdir()
    *rest, (level, said) = told(config)
    assert (rest, level) == (SHOWN, Level.WARNING)
    assert said.startswith("images: No such file or directory; ")


def test_a_configuration_that_terrible_disk_would_not_believe(config: Config, base: Path) -> None:
    (base / "terrible.toml").touch()
    (base / "terrible.toml").chmod(0o666)
    said = "terrible.toml must be owned by root and writable by nobody else, or terrible-disk opens no card"
    assert told(config, base / "terrible.toml") == [(Level.WARNING, said), *SHOWN]


def test_a_program_that_is_not_installed(config: Config, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_PATH", "")
    (base / "bin" / "zstd").unlink()
    said = "not installed: zstd, so no image packed as .zst can be flashed"
    assert told(config) == [*SHOWN, (Level.NOTE, said)]


@pytest.mark.skipif(os.geteuid() != 0, reason="is nobody already")
def test_who_is_not_root_needs_a_helper(config: Config, base: Path) -> None:
    with nobody(str(base / "run")):
        *rest, (level, said) = told(config)
        assert (rest, level) == (SHOWN, Level.WARNING)
        assert said.startswith("no terrible-disk at run/disk.sock: No such file or directory")
        with socket.socket(socket.AF_UNIX) as helper:
            helper.bind(f"{base}/run/disk.sock")
            helper.listen()
            assert told(config) == SHOWN
