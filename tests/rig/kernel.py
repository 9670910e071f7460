"""The guest's kernel from Debian's package: inflated where possible, with a handful of its modules."""

from __future__ import annotations

import lzma
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from . import packages

_XZ_MAGIC = b"\xfd7zXZ\x00"


def install(root: Path, kernel: Path, modules: Collection[str], scratch: Path) -> None:
    """Put this release's kernel at `kernel`, and `modules` with what they need under `root`.

    Modules go by name, so that it does not matter where a release keeps them.
    """
    packages.merge_usr(scratch)
    (package,) = (p for p in packages.dependencies_of("linux-image-amd64") if p.startswith("linux-image"))
    packages.download([package], scratch)
    packages.unpack(next(scratch.glob("*.deb")), scratch)
    kernel.write_bytes(unpacked(next(scratch.glob("boot/vmlinuz-*")).read_bytes()))
    (everything,) = scratch.glob("usr/lib/modules/*")
    wanted = root / "usr/lib/modules" / everything.name
    depmod(scratch, everything.name)
    for relative in needed(everything, modules):
        _copy_module(everything / relative, wanted / relative)
    for listing in everything.glob("modules.[bo]*"):  # builtin, builtin.modinfo, order
        shutil.copy(listing, wanted)
    depmod(root, everything.name)
    shutil.rmtree(scratch)


def unpacked(image: bytes) -> bytes:
    """The ELF kernel inside a bzImage, which QEMU can start by its PVH entry.

    The emulated processor takes 2.5 s to inflate it, the host 1 s, once. Debian packs it with xz; anything
    else is left to unpack itself.
    """
    start = image.find(_XZ_MAGIC)
    if start < 0:
        return image
    kernel = lzma.LZMADecompressor().decompress(image[start:])
    return kernel if kernel.startswith(b"\x7fELF") else image


def needed(directory: Path, modules: Collection[str]) -> list[str]:
    """Paths of the wanted modules and of everything they depend on (modules.dep lists that in full)."""
    paths: set[str] = set()
    found = {_module_name(line) for line in _lines(directory / "modules.builtin")}
    for line in _lines(directory / "modules.dep"):
        path, _, others = line.partition(":")
        if _module_name(path) in modules:
            found.add(_module_name(path))
            paths.update([path, *others.split()])
    if lacking := set(modules) - found:
        raise RuntimeError(f"this kernel has no {', '.join(sorted(lacking))}")
    return sorted(paths)


def depmod(root: Path, release: str) -> None:
    tool = packages.which("depmod")
    assert tool
    subprocess.run([tool, "-b", root, release], check=True)


def _module_name(path: str) -> str:
    return path.rsplit("/", 1)[-1].partition(".")[0].replace("-", "_")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _copy_module(source: Path, target: Path) -> None:
    """Uncompressed: Debian 13 ships .ko.xz, which the host unpacks faster than an emulated processor."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".xz":
        target.with_suffix("").write_bytes(lzma.decompress(source.read_bytes()))
    else:
        shutil.copy(source, target)
