"""Boot files are found as a node would find them, in real directories, with the hashes of their bytes."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from terrible.cli.health import files, hashes
from terrible.cli.health.finding import Finding, Level
from terrible.config import Config


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    (tmp_path / "boot").mkdir()
    return tmp_path / "boot"


def config(boot: Path, **more: object) -> Config:
    slots = [{"name": "alpha", "location": "1-1.1", "profile": "lab"}, {"name": "beta", "location": "1-1.2"}]
    return Config.model_validate({"slots": slots, "files": {"directory": boot, **more}})


def put(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(boot: Path, what: str, **more: object) -> list[Finding]:
    return [finding for finding in files.findings(config(boot, **more)) if finding.what == what]


def listed(boot: Path, **more: object) -> list[str]:
    """Place, size and hash of every file that is told."""
    told = [one.said for one in hashes.findings(config(boot, **more)) if one.level is Level.OK]
    return [" ".join(said.split()) for said in told]


def line(where: str, content: bytes) -> str:
    return f"{where} {len(content)} {hashlib.sha256(content).hexdigest()}"


def test_bootcode_from_one_layer_for_all_slots_is_one_line(boot: Path) -> None:
    put(boot / "bootcode.bin")
    put(boot / "2711/bootcode4.bin")
    (only,) = found(boot, "bootcode")
    assert only == Finding(
        Level.OK, "bootcode", "alpha, beta: bootcode.bin from base, bootcode4.bin from 2711"
    )


def test_a_slot_without_any_bootcode_is_an_error_that_says_where_it_was_looked_for(boot: Path) -> None:
    put(boot / "beta/bootcode.bin")
    alpha, beta = found(boot, "bootcode")
    assert beta == Finding(Level.OK, "bootcode", "beta: bootcode.bin from beta")
    assert alpha.level is Level.ERROR
    assert alpha.said.startswith("alpha: bootcode.bin is missing: no layer has it (looked in alpha, 1-1.1,")
    assert str(boot) in alpha.said
    assert alpha.remedy.startswith("put boot files there")


def test_a_bootcode_hidden_by_an_empty_file_is_an_error(boot: Path) -> None:
    put(boot / "bootcode.bin")
    put(boot / "alpha/bootcode.bin", b"")
    alpha = next(one for one in found(boot, "bootcode") if one.said.startswith("alpha"))
    assert (alpha.level, "an empty file in alpha hides it" in alpha.said) == (Level.ERROR, True)


def test_a_bootcode_that_cannot_be_used_is_an_error_beside_one_that_can(boot: Path) -> None:
    put(boot / "bootcode.bin")
    put(boot / "alpha/bootcode4.bin.template", b"${colour}")
    good, bad = (one for one in found(boot, "bootcode") if one.said.startswith("alpha"))
    assert (good.level, bad.level) == (Level.OK, Level.ERROR)
    assert "alpha/bootcode4.bin.template" in bad.said


def test_every_problem_of_every_template_has_its_file_and_line(boot: Path, tmp_path: Path) -> None:
    one = put(boot / "alpha/cmdline.txt.template", b"a=${name}\nb=${nope}\nc=$ \n")
    two = put(tmp_path / "profiles/lab/sub/x.template", b"\xff")
    good = put(boot / "config.txt.template", b"${mac} $$")
    problems = found(boot, "template", profiles=tmp_path / "profiles")
    assert {problem.level for problem in problems} == {Level.ERROR}
    assert all(problem.remedy for problem in problems)
    said = [problem.said for problem in problems]
    assert said[0].startswith(f"{one}: line 2: unknown variable ${{nope}}; known are name,")
    assert said[1].startswith(f"{one}: line 3: a dollar sign")
    assert said[2].startswith(f"{two}: not UTF-8 text")
    assert len(said) == 3
    assert not any(str(good) in one for one in said)


def test_a_template_beside_the_file_that_an_image_brought_is_never_served(boot: Path) -> None:
    template = put(boot / "cmdline.txt.template", b"${mac}")
    plain = put(boot / "cmdline.txt", b"root=PARTUUID=1-02")
    (hidden,) = found(boot, "template")
    assert (hidden.level, hidden.said) == (
        Level.WARNING,
        f"{template} is never served: cmdline.txt beside it is",
    )
    assert str(plain) in hidden.remedy
    plain.unlink()
    put(boot / "alpha/cmdline.txt", b"of this slot alone")
    assert [one.level for one in found(boot, "template")] == [Level.OK]


def test_good_templates_are_counted(boot: Path) -> None:
    put(boot / "config.txt.template", b"${mac}")
    put(boot / "alpha/config.txt.template", b"${mac}")
    assert found(boot, "template") == [Finding(Level.OK, "template", "2 templates, nothing wrong")]


def test_a_slots_name_that_means_another_directory_is_an_error(boot: Path) -> None:
    bad = Config.model_validate(
        {"slots": [{"name": "profiles", "location": "1-1.1"}], "files": {"directory": boot}}
    )
    (only,) = files.findings(bad)
    assert (only.level, only.said) == (
        Level.ERROR,
        "no slot can be named profiles: another directory of boot files is",
    )


def test_each_layer_tells_its_files_and_their_hashes(boot: Path, tmp_path: Path) -> None:
    put(boot / "bootcode.bin", b"one")
    put(boot / "start4.elf", b"two" * 100_000)
    put(boot / "LICENCE.broadcom")
    put(boot / "2711/kernel8.img", b"three")
    put(boot / "alpha/cmdline.txt.template", b"four")
    put(boot / "1-1.2/config.txt", b"five")
    put(boot / "profiles/lab/kernel.img", b"six")
    put(tmp_path / "pinned/fixup.dat", b"seven")
    assert sorted(listed(boot, firmware=tmp_path / "pinned")) == sorted(
        [
            line("alpha/cmdline.txt.template", b"four"),
            line("1-1.2/config.txt", b"five"),
            line("profile lab/kernel.img", b"six"),
            line("firmware/fixup.dat", b"seven"),
            line("2711/kernel8.img", b"three"),
            line("base/bootcode.bin", b"one"),
            line("base/start4.elf", b"two" * 100_000),
        ]
    )


def test_the_archive_tells_its_members(boot: Path) -> None:
    large = bytes(range(256)) * 9000
    with tarfile.open(boot / "bootfiles.bin", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in (("2712/bootcode5.bin", large), ("2712/other.txt", b"x")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert listed(boot) == [line("bootfiles.bin:2712/bootcode5.bin", large)]
    assert found(boot, "bootcode")[0].said == "alpha, beta: bootcode5.bin from bootfiles.bin"


def test_a_broken_archive_is_an_error(boot: Path) -> None:
    put(boot / "bootfiles.bin", b"no tar" * 200)
    (only,) = hashes.findings(config(boot))
    assert only.level is Level.ERROR
    assert only.said.startswith(f"{boot}/bootfiles.bin is no usable tar archive: ")


def test_what_a_node_would_not_get_is_no_boot_file(boot: Path, tmp_path: Path) -> None:
    (boot / "config.txt").symlink_to(put(tmp_path / "outside.txt"))
    (boot / "kernel.img").mkdir()
    os.mkfifo(boot / "start.elf")
    told = list(hashes.findings(config(boot)))
    assert [one.level for one in told] == [Level.WARNING] * 3
    assert told[0].said == "base/config.txt is missing to nodes: a link that leads out"
    assert told[1].said == "base/kernel.img is missing to nodes: no regular file"
    assert told[2].said == "base/start.elf is missing to nodes: no regular file"


def test_an_empty_file_is_told_for_what_it_does(boot: Path) -> None:
    put(boot / "alpha/config.txt", b"")
    (only,) = hashes.findings(config(boot))
    said = "alpha/config.txt is empty: it hides those of the layers below"
    assert only == Finding(Level.NOTE, "file", said)


def test_a_directory_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    (only,) = hashes.findings(config(tmp_path / "none"))
    assert only == Finding(Level.NOTE, "file", f"no boot files in {tmp_path}/none")
