"""The programs that read and change file systems, each with the Debian package it is in."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from terrible.errors import HostError

_PACKAGES = {
    "mcopy": "mtools", "mdel": "mtools", "mren": "mtools", "fsck.fat": "dosfstools", "debugfs": "e2fsprogs",
    "e2fsck": "e2fsprogs", "xz": "xz-utils", "gzip": "gzip", "zstd": "zstd",
}  # fmt: skip
_PATH = f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin"
"""Debian leaves the sbin directories out of the path of those who are not root."""


def find(*programs: str) -> list[str]:
    """Where these programs are; HostError with the line that installs the ones that are missing."""
    path = f"{os.environ.get('PATH', '')}:{_PATH}"
    found = [shutil.which(program, path=path) for program in programs]
    missing = [program for program, where in zip(programs, found, strict=True) if where is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES[program] for program in missing}))
        raise HostError(f"not installed: {', '.join(missing)}; sudo apt install {packages}")
    return [where for where in found if where is not None]


def run(
    program: str, *arguments: str, given: bytes = b"", fds: Sequence[int] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end; `fds` are open in it under the same numbers. What its exit code means is yours."""
    return subprocess.run(
        [*find(program), *arguments],
        input=given,
        capture_output=True,
        check=False,
        pass_fds=fds,
        # Its words are read here, and no setting of the user's (mtools has some) may change what it does.
        env={**os.environ, "LC_ALL": "C.UTF-8", "MTOOLSRC": os.devnull, "MTOOLS_SKIP_CHECK": "0"},
    )


def last_line(said: bytes) -> str:
    """What a program has said last, for people."""
    lines = said.decode(errors="replace").strip().splitlines()
    text = lines[-1] if lines else "it does not say why"
    return "".join(character if character.isprintable() else "?" for character in text)
