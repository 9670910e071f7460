"""What root makes in a directory of somebody else's belongs to whoever owns that directory.

`sudo terrible flash --direct` and `sudo terrible run` write where the service, which is not root, goes on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict


class Identity(TypedDict, total=False):
    """As subprocess.run takes it; empty for who we are."""

    user: int
    group: int
    extra_groups: list[int]


def give(path: Path) -> None:
    """Let it belong to whoever owns the directory it is in; links are not followed."""
    if os.geteuid() == 0:
        place = path.parent.stat()
        os.chown(path, place.st_uid, place.st_gid, follow_symlinks=False)


def of(path: Path) -> Identity:
    """Who is to write there: the owner, where we are root."""
    place = path.stat()
    if os.geteuid() != 0 or place.st_uid == 0:
        return {}
    return {"user": place.st_uid, "group": place.st_gid, "extra_groups": []}
