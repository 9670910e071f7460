"""Debian packages without root: which ones a wish pulls in, fetched and unpacked into a directory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

_NOT_FOR_A_GUEST = {"adduser", "debconf", "dpkg", "install-info", "mailcap", "media-types", "mime-support"}
_NOT_FOR_A_GUEST |= {"ca-certificates", "passwd", "perl", "perl-base", "readline-common", "systemd", "tzdata"}
"""Needed to install or to configure on a real system, and pulling in half of it; nothing here runs them."""

_DOCUMENTS = ("bash-completion", "bug", "doc", "info", "initramfs-tools", "lintian", "locale", "man")
_PYTHON = ("config-*", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "turtledemo")
_LEFT_OUT = ["etc/init.d", "etc/kernel", "usr/include", "*/gconv", "*/systemd/system", "*/udev/hwdb.d"]
_LEFT_OUT += [f"usr/share/{name}" for name in _DOCUMENTS] + [f"usr/lib/python3*/{name}" for name in _PYTHON]
"""What only makes the archive larger, and so the guest's start slower."""


_AS_IF_NEW = [
    "-o",
    "Dir::State::status=/dev/null",
    "-o",
    "Dir::Cache::pkgcache=",
    "-o",
    "Dir::Cache::srcpkgcache=",
]
"""What the host has installed, perhaps from elsewhere, is not to decide what the guest gets."""


class UnavailableError(RuntimeError):
    """Something had to be downloaded and could not be."""


def dependencies_of(package: str) -> list[str]:
    """What `package` depends on directly, the first choice of every alternative."""
    return _graph([package])[package]


def closure(wanted: Iterable[str], without: Collection[str] = ()) -> list[str]:
    """`wanted` and everything they need, except what `without` already brought."""
    roots = list(wanted)
    graph = _graph(roots)
    found: set[str] = set()
    waiting = roots
    while waiting:
        name = waiting.pop()
        if name in found or name in without or name in _NOT_FOR_A_GUEST:
            continue
        found.add(name)
        waiting += graph[name]
    return sorted(found)


def download(packages: Iterable[str], directory: Path) -> None:
    """Fetch the .deb files of `packages` into `directory`; the host's apt lists must be usable."""
    directory.mkdir(parents=True, exist_ok=True)
    # Without the sandbox option apt-get run by root warns that its own user cannot write here.
    argv = ["apt-get", "-qq", *_AS_IF_NEW, "-o", "APT::Sandbox::User=root", "download", *packages]
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"apt-get download failed (is `apt-get update` due?): {done.stderr.strip()}")


def merge_usr(root: Path) -> None:
    """Prepare an empty root in which /bin, /lib and so on are links into /usr, as Debian's are."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def unpack(deb: Path, root: Path) -> None:
    """Unpack one .deb over `root`, less what no guest needs."""
    excluded = [f"--exclude=./{path}" for path in _LEFT_OUT]
    tar = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", "--wildcards", *excluded]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as source:
        subprocess.run(tar, stdin=source.stdout, check=True)


def install(names: Iterable[str], root: Path, scratch: Path) -> None:
    """Fetch `names` and unpack them over `root`."""
    debs = scratch / "debs"
    download(names, debs)
    for deb in debs.glob("*.deb"):
        unpack(deb, root)
    shutil.rmtree(debs)


def which(tool: str) -> str | None:
    """As root would find it: depmod lives in sbin."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _graph(packages: list[str]) -> dict[str, list[str]]:
    kinds = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"]
    argv = ["apt-cache", *_AS_IF_NEW, "depends", "--recurse", *[f"--no-{kind}" for kind in kinds], *packages]
    return parse_depends(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def parse_depends(text: str) -> dict[str, list[str]]:
    """Read `apt-cache depends`: names at the margin, ` |Depends:` for all but the last alternative."""
    graph: dict[str, list[str]] = defaultdict(list)
    package, chosen = "", False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            package, chosen = line.split(":")[0], False
            graph[package] = []
        elif "Depends: " in line:
            if not chosen and "<" not in line:  # <name> is virtual: its alternative, if any, comes next
                graph[package].append(line.split("Depends: ")[1].split(":")[0])
            chosen = line.startswith(" |") and (chosen or "<" not in line)
    return graph
