"""A digest and a bmap are found by the names that people give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible.storage.faults import ImageError
from terrible.storage.writing.beside import bmap_of, digest_of

HEX = "0123456789abcdef" * 4
OTHER = "f" * 64


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("pi.img", "pi.img.bmap"),
        ("pi.img", "pi.bmap"),
        ("pi.img.xz", "pi.bmap"),
        ("pi.img.xz", "pi.img.bmap"),
        ("pi.img.zst", "pi.img.zst.bmap"),
    ],
)
def test_a_bmap(image: str, name: str, tmp_path: Path) -> None:
    assert bmap_of(tmp_path / image) is None
    (tmp_path / name).touch()
    assert bmap_of(tmp_path / image) == tmp_path / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pi.img.xz.sha256", f"{HEX}  pi.img.xz\n"),
        ("pi.img.xz.sha256", f"{HEX.upper()} *pi.img.xz\n"),
        ("pi.img.xz.sha256", f"{HEX}\n"),
        ("pi.img.xz.sha256", f"{OTHER}  other.img.xz\n{HEX}  ./pi.img.xz\n"),
        ("pi.img.sha256", f"{HEX}  pi.img\n"),
    ],
)
def test_a_digest(name: str, text: str, tmp_path: Path) -> None:
    assert digest_of(tmp_path / "pi.img.xz") is None
    (tmp_path / name).write_text(text)
    assert digest_of(tmp_path / "pi.img.xz") == HEX


def test_an_image_that_was_renamed_is_told_by_its_old_name(tmp_path: Path) -> None:
    (tmp_path / "pi.img.sha256").write_text(f"{HEX}  raspios.img\n{OTHER}  more.img\n")
    with pytest.raises(ImageError, match=r"no sha256 of pi\.img, but of more\.img, raspios\.img; a line"):
        digest_of(tmp_path / "pi.img")


@pytest.mark.parametrize("text", ["", "soon\n", f"{HEX}  other.img\n", f"{HEX}\n{OTHER}\n"])
def test_a_file_that_tells_no_digest_of_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "pi.img.sha256").write_text(text)
    with pytest.raises(ImageError, match=r"pi\.img\.sha256 tells no sha256 of pi\.img"):
        digest_of(tmp_path / "pi.img")


def test_a_file_of_digests_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "pi.img.sha256").symlink_to("/proc/self/mem")  # an ordinary file whose first bytes give EIO
    with pytest.raises(ImageError, match=r"pi\.img\.sha256: Input/output error"):
        digest_of(tmp_path / "pi.img")
