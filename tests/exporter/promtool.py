"""Prometheus' own judge, out of its Debian package: nothing is installed, and no daemon starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from tests.rig import packages


def judged(*arguments: str, text: str | None = None, directory: Path | None = None) -> None:
    """Run it; AssertionError with what it says where it is not content."""
    done = subprocess.run(
        [_program(), *arguments], input=text, capture_output=True, text=True, check=False, cwd=directory
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@cache
def _program() -> str:
    if (installed := shutil.which("promtool")) is not None:
        return installed
    scratch = Path(tempfile.gettempdir()) / f"terrible-promtool-{os.getuid()}"
    if not (program := scratch / "usr/bin/promtool").exists():
        try:
            packages.download(["prometheus"], scratch)
        except (packages.UnavailableError, OSError) as error:
            if os.environ.get("REQUIRE_ALL") == "1":
                pytest.fail(str(error))
            pytest.skip(str(error))
        packages.unpack(next(scratch.glob("prometheus_*.deb")), scratch)
    return str(program)
