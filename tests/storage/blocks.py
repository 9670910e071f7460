"""Whether this machine has what the tests of real block devices need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def missing() -> str:
    """Why there can be no loop devices over FUSE here; empty if there can."""
    if os.geteuid():
        return "loop devices need root"
    for needed in ("/dev/loop-control", "/dev/fuse"):
        if not Path(needed).exists():
            return f"there is no {needed}"
    absent = [tool for tool in ("losetup", "xz", "zstd") if not shutil.which(tool)]
    return f"not installed: {', '.join(absent)}" if absent else ""


REASON = missing()
needed = pytest.mark.skipif(bool(REASON) and os.environ.get("REQUIRE_ALL") != "1", reason=REASON)
