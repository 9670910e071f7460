"""What a kernel and a firmware file say of themselves, and which Pis a set of files boots."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib

import pytest

from terrible.storage.images import models
from terrible.storage.images.versions import version_of
from tests.storage.images import FIRMWARE, boot_files, kernel, noise

BANNER = b"Linux version 6.12.25+rpt-rpi-v8 (serge@raspberrypi) (gcc) #1 SMP"


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize(
    ("name", "content", "version"),
    [
        ("kernel8.img", gzip.compress(bytes(5000) + BANNER + bytes(5000)), "6.12.25+rpt-rpi-v8"),
        ("kernel.img", noise("zImage", 3000) + gzip.compress(BANNER) + b"appended", "6.12.25+rpt-rpi-v8"),
        ("kernel.img", b"\x1f\x8b\x08\x00 is not yet gzip" + gzip.compress(BANNER), "6.12.25+rpt-rpi-v8"),
        ("kernel_2712.img", bytes(3000) + BANNER, "6.12.25+rpt-rpi-v8"),
        ("kernel7.img", lzma.compress(BANNER * 20), None),
        ("kernel7.img", gzip.compress(BANNER)[:20], None),
        ("start4.elf", noise("elf", 300) + FIRMWARE + bytes(300), "5ba0ad5f9d8b1a4a0b1f"),
        ("bootcode.bin", b"", None),
    ],
)
def test_a_version_is_found_however_the_file_is_cut(
    name: str, content: bytes, version: str | None, size: int
) -> None:
    found = version_of(name, pieces(content, size))
    assert found is not None
    assert (found.name, found.version, found.size) == (name, version, len(content))
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_a_kernel_that_unpacks_without_end_is_left_alone() -> None:
    bomb = gzip.compress(bytes(300 << 20), 9)
    assert (found := version_of("kernel8.img", pieces(bomb + kernel("6.1"), 4096))) is not None
    assert found.version is None


def test_other_files_are_not_even_read() -> None:
    assert version_of("overlays/kernel.img.dtbo", iter(lambda: pytest.fail("read"), None)) is None


def test_which_pis_the_files_boot() -> None:
    names = set(boot_files(""))
    assert models.boots(names) == ["Zero W", "Zero 2 W", "Pi 4"]
    assert models.lacks(names) == {}
    assert models.boots(names - {"start.elf"}) == ["Pi 4"]
    assert models.lacks(names - {"kernel.img", "kernel8.img"})["Pi 4"] == ["kernel7l.img or kernel8.img"]
    assert models.boots(names | {"bcm2712-rpi-5-b.dtb"}) == ["Zero W", "Zero 2 W", "Pi 4", "Pi 5"]
    assert models.boots(set()) == []


def test_what_looks_like_gzip_everywhere_is_soon_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place cost a copy of all that follows it: 4 MB took 49 s."""
    tried, real = [], zlib.decompressobj

    def counted(wbits: int) -> zlib._Decompress:
        tried.append(wbits)
        return real(wbits)

    monkeypatch.setattr(zlib, "decompressobj", counted)
    content = gzip.compress(b"")[:4] * 100_000
    assert (found := version_of("kernel8.img", pieces(content, 1 << 18))) is not None
    assert (found.version, found.sha256) == (None, hashlib.sha256(content).hexdigest())
    assert 0 < len(tried) < 1000
